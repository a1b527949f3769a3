"""What operations of the document are put together from."""

from __future__ import annotations

from collections.abc import Mapping

from openapi_pydantic import (
    DataType,
    MediaType,
    Parameter,
    ParameterLocation,
    Reference,
    RequestBody,
    Response,
    Schema,
)
from openapi_pydantic.util import PydanticSchema
from pydantic import BaseModel

from shared.run.states import State

PROBLEMS = {
    400: "The request is wrong, and `param` says where; or the model refuses it, and `code` says why.",
    401: "No credential, or an unknown one.",
    403: "Not for this credential: a session of another one, a scope it does not have, or a page of another site.",
    404: "No such agent or worker, or no such run of this credential.",
    408: "The body did not come in time.",
    409: "The idempotency key was used with another body, or the state of things stands in the way; `code` says which.",
    413: "The body is too large.",
    429: "Too many runs wait, and `Retry-After` says when to try again; or the model has reached its rate limit.",
    500: "The agent failed, or this service did.",
    502: "The model behind the agent failed.",
    503: "Redis is away, the worker was lost, or this process is restarting.",
    504: "No worker took the run in time, the run or its model took too long, or the client would not have waited for "
    "its end.",
}
_ALWAYS = (401, 403, 500, 503)

NUMBER = Schema(type=DataType.INTEGER, minimum=0, maximum=2**53, default=0)
TEXT = Schema(type=DataType.STRING)
STATE = Schema(type=DataType.STRING, enum=[state.value for state in State])


def count(*, default: int, most: int) -> Schema:
    return Schema(type=DataType.INTEGER, minimum=1, maximum=most, default=default)


def answers(good: Mapping[int, Response], *problems: int) -> dict[str, Response | Reference]:
    told: dict[str, Response | Reference] = {str(status): answer for status, answer in good.items()}
    return told | {str(status): _problem(status) for status in sorted({*problems, *_ALWAYS})}


def _problem(status: int) -> Reference:
    return Reference(**{"$ref": f"#/components/responses/{status}"})


def answer(shape: type[BaseModel], description: str, *, stream: bool = False) -> Response:
    content = {"application/json": MediaType(schema=PydanticSchema(schema_class=shape))}
    return Response(description=description, content={**content, **(_STREAM if stream else {})})


def events(description: str) -> Response:
    return Response(description=description, content=dict(_STREAM))


_STREAM = {"text/event-stream": MediaType()}  # OpenAPI 3.1 has no words for what an event of it holds


def body(shape: type[BaseModel], *, required: bool = True) -> RequestBody:
    content = {"application/json": MediaType(schema=PydanticSchema(schema_class=shape))}
    return RequestBody(content=content, required=required)


def query(name: str, description: str, schema: Schema = TEXT) -> Parameter:
    return _parameter(ParameterLocation.QUERY, name, description, schema)


def header(name: str, description: str, schema: Schema = TEXT) -> Parameter:
    return _parameter(ParameterLocation.HEADER, name, description, schema)


def in_path(name: str, description: str) -> Parameter:
    return _parameter(ParameterLocation.PATH, name, description, TEXT, required=True)


def _parameter(
    where: ParameterLocation, name: str, description: str, schema: Schema, *, required: bool = False
) -> Parameter:
    place = {"in": where}  # a word of Python, so no argument can have this name
    return Parameter(**place, name=name, description=description, schema=schema, required=required)


_CURSOR = Schema(type=DataType.STRING, pattern=r"^\d+(\.\d+)?$")

CURSOR = query("cursor", "`next_cursor` of the page before.", _CURSOR)
RUN_ID = in_path("run_id", "`id` of the run; also `X-Run-Id` of a chat completion.")
