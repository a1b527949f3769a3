"""The description of the API, without an API that runs: an app that is made connects to nothing."""

from __future__ import annotations

from redis.asyncio import Redis

from api.app import create_app
from api.http.endpoint import endpoints_of
from api.openapi.document import document
from shared.redis.pipe import Pipe, Pipes
from shared.settings import Settings


def described() -> bytes:
    """What `GET /openapi.json` answers."""
    redis = Redis()
    pipe = Pipe(redis)
    application = create_app(Settings(), Pipes(pipe, pipe), redis, name="described")
    return document(endpoints_of(application.app.routes))
