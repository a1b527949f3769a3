"""An API without gap fill: it never reads a stream, so its readers get only what pub/sub happens to bring."""

from __future__ import annotations

import os
from contextlib import aclosing

import uvicorn
import uvloop

from api.app import create_app
from shared.ledger.presence import process_name
from shared.redis.client import Argument, open_redis
from shared.redis.pipe import CONNECTIONS, Pipe, Pipes
from shared.redis.replies import Reply
from shared.settings import Settings, read_settings


class Forgetful(Pipe):
    async def command(self, name: str, *arguments: Argument) -> Reply:
        return [] if name == "XRANGE" else await super().command(name, *arguments)


async def serve(settings: Settings) -> None:
    async with (
        open_redis(settings.redis_url, max_connections=CONNECTIONS) as redis,
        open_redis(settings.events_url, socket_timeout=None) as pubsub,
        aclosing(Forgetful(redis)) as pipe,
    ):
        app = create_app(settings, Pipes(pipe, pipe), pubsub, name=process_name("api")).app
        await uvicorn.Server(uvicorn.Config(app, host=settings.bind, port=settings.port, log_config=None)).serve()


if __name__ == "__main__":
    uvloop.run(serve(read_settings(os.environ)))
