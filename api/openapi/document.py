"""`GET /openapi.json`: the API as an OpenAPI document. It is the same for everybody as long as a release lives, so
nobody has to say who asks.

Whoever adds a route to `api/app.py` adds it in this folder; a test compares the two.
"""

from __future__ import annotations

from functools import cache

from openapi_pydantic import Components, Info, OpenAPI, PathItem, SecurityScheme
from openapi_pydantic.util import construct_open_api_with_schema_class
from starlette.requests import Request
from starlette.responses import Response as Answer

from api.chat import chat_schema
from api.http import api_errors
from api.openapi import admin, completions, runs, service
from api.openapi.parts import PROBLEMS, answer
from shared.run.release import RELEASE

ABOUT = """\
An OpenAI-compatible front door for agents. Every request makes a *run*, which a worker executes; `/v1/runs` shows it,
and a client that lost its connection reads on with the run's id. Runs belong to the credential that made them: to any
other they are not there. `/v1/admin` shows all of them to operators, whose credentials have scopes of their own. A
service that was set up without credentials answers programs on its own machine."""


async def show(_: Request) -> Answer:
    return Answer(document(), headers={"Content-Type": api_errors.JSON})


@cache
def document() -> bytes:
    described = OpenAPI(
        openapi="3.1.1",
        info=Info(title="runrelay", version=RELEASE, description=ABOUT),
        paths=_paths(),
        components=Components(
            responses={str(status): answer(chat_schema.ErrorAnswer, how) for status, how in PROBLEMS.items()},
            securitySchemes={"bearer": SecurityScheme(type="http", scheme="bearer")},
        ),
        security=[{"bearer": []}],
    )
    # Not by alias: the API answers in snake_case. Only events have other names, and they are no JSON answers.
    complete = construct_open_api_with_schema_class(described, by_alias=False)
    return complete.model_dump_json(by_alias=True, exclude_unset=True, exclude_none=True).encode()


def _paths() -> dict[str, PathItem]:
    return {**completions.paths(), **runs.paths(), **admin.paths(), **service.paths()}
