"""`GET /openapi.json`: the API as an OpenAPI document. It is the same for everybody as long as a release lives, so
nobody has to say who asks.

Whoever adds a route to `api/app.py` adds it here; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from openapi_pydantic import (
    Components,
    DataType,
    Info,
    MediaType,
    OpenAPI,
    Operation,
    Parameter,
    ParameterLocation,
    PathItem,
    Reference,
    RequestBody,
    Response,
    Schema,
    SecurityScheme,
)
from openapi_pydantic.util import PydanticSchema, construct_open_api_with_schema_class
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response as Answer

from api import failures, shapes
from api.run_request import RunRequest
from api.run_view import RunPage, RunView
from api.runs import LONGEST_WAIT, MOST_PER_PAGE
from shared.release import RELEASE
from shared.states import State

ABOUT = """\
An OpenAI-compatible front door for agents. Every request makes a *run*, which a worker executes; `/v1/runs` shows it,
and a client that lost its connection reads on with the run's id. Runs belong to the credential that made them: to any
other they are not there. A service that was set up without credentials answers programs on its own machine."""


async def show(_: Request) -> Answer:
    return Answer(document(), headers={"Content-Type": failures.JSON})


@cache
def document() -> bytes:
    described = OpenAPI(
        openapi="3.1.1",
        info=Info(title="runrelay", version=RELEASE, description=ABOUT),
        paths=_paths(),
        components=Components(
            responses={str(status): _json(shapes.ErrorAnswer, how) for status, how in _PROBLEMS.items()},
            securitySchemes={"bearer": SecurityScheme(type="http", scheme="bearer")},
        ),
        security=[{"bearer": []}],
    )
    # Not by alias: the API answers in snake_case. Only events have other names, and they are no JSON answers.
    complete = construct_open_api_with_schema_class(described, by_alias=False)
    return complete.model_dump_json(by_alias=True, exclude_unset=True, exclude_none=True).encode()


def _paths() -> dict[str, PathItem]:
    return {
        "/v1/chat/completions": PathItem(post=_create_completion()),
        "/v1/chat/completions/{run_id}": PathItem(get=_retrieve_completion()),
        "/v1/runs": PathItem(post=_create_run(), get=_list_runs()),
        "/v1/runs/{run_id}": PathItem(get=_show_run()),
        "/v1/runs/{run_id}/events": PathItem(get=_follow_run()),
        "/v1/runs/{run_id}/cancel": PathItem(post=_cancel_run()),
        "/v1/runs/{run_id}/wait": PathItem(get=_wait_for_run()),
        "/v1/models": PathItem(get=_list_models()),
        "/v1/models/{model}": PathItem(get=_show_model()),
        "/healthz": PathItem(get=_live()),
        "/readyz": PathItem(get=_ready()),
        "/openapi.json": PathItem(get=_this()),
    }


# --- chat completions -------------------------------------------------------------------------------------------------

_CHUNKS = (
    "The completion; with `stream`, `chat.completion.chunk` objects as `data:` lines, the last of which is `[DONE]`."
)


def _create_completion() -> Operation:
    return Operation(
        operationId="createChatCompletion",
        summary="Ask an agent, and get its answer whole or while it is made.",
        parameters=[
            _header("Idempotency-Key", "A request with the same key and body gets the answer of the first."),
            _header("x-clawdbot-agent-id", "The agent; counts more than `model`."),
            _header("x-clawdbot-session-key", "The session, which keeps its own history; counts more than `user`."),
        ],
        requestBody=_body(shapes.ChatRequestBody),
        responses=_answers(
            {200: _json(shapes.Completion, _CHUNKS, stream=True)}, 400, 404, 408, 409, 413, 429, 502, 504
        ),
    )


def _retrieve_completion() -> Operation:
    return Operation(
        operationId="retrieveChatCompletion",
        summary="The answer of an earlier request, live or finished.",
        parameters=[
            _RUN_ID,
            _query("stream", "Send the answer while it is made.", Schema(type=DataType.BOOLEAN, default=False)),
            _query("starting_after", "With `stream`: the `seq` of the last chunk that came.", _NUMBER),
        ],
        responses=_answers({200: _json(shapes.Completion, _CHUNKS, stream=True)}, 400, 404, 409, 429, 502, 504),
    )


# --- runs -------------------------------------------------------------------------------------------------------------

_EVENTS = """\
Server-Sent Events. Each has the number of the run's event as `id:`, its kind as `event:` (lifecycle, assistant, tool,
call, reasoning, usage) and the event as JSON in `data:`. `event: error` says why no more will come of a run that goes
on."""


def _create_run() -> Operation:
    return Operation(
        operationId="createRun",
        summary="Start a run, and do not wait for it.",
        parameters=[_header("Idempotency-Key", "A request with the same key and body gets the run of the first.")],
        requestBody=_body(RunRequest),
        responses=_answers({202: _json(RunView, "The run.")}, 400, 404, 408, 409, 413, 429),
    )


def _list_runs() -> Operation:
    states = Schema(type=DataType.STRING, enum=[state.value for state in State])
    page = Schema(type=DataType.INTEGER, minimum=1, maximum=MOST_PER_PAGE, default=20)
    return Operation(
        operationId="listRuns",
        summary="Your runs, newest first.",
        parameters=[
            _query("state", "Only runs in this state.", states),
            _query("agent", "Only runs of this agent."),
            _query("session", "Only runs of this session."),
            _query("limit", "Most runs of one page.", page),
            _query(
                "cursor", "`next_cursor` of the page before.", Schema(type=DataType.STRING, pattern=r"^\d+(\.\d+)?$")
            ),
        ],
        responses=_answers({200: _json(RunPage, "A page of runs.")}, 400),
    )


def _show_run() -> Operation:
    return Operation(
        operationId="showRun",
        summary="A run: its state, its times, and what was said so far.",
        parameters=[_RUN_ID],
        responses=_answers({200: _json(RunView, "The run.")}, 404),
    )


def _follow_run() -> Operation:
    return Operation(
        operationId="followRun",
        summary="The events of a run, live or finished, from any place on.",
        parameters=[
            _RUN_ID,
            _query("after", "Number of the last event that came.", _NUMBER),
            _header("Last-Event-ID", "The same; counts more. Browsers send it by themselves.", _NUMBER),
        ],
        responses=_answers(
            {200: _events(_EVENTS), 204: Response(description="The run has ended, and nothing is left to come.")},
            400,
            404,
        ),
    )


def _cancel_run() -> Operation:
    answers = {200: _json(RunView, "It had ended already."), 202: _json(RunView, "It ends in a moment.")}
    return Operation(
        operationId="cancelRun",
        summary="Stop a run and every process of it.",
        parameters=[_RUN_ID],
        responses=_answers(answers, 404),
    )


def _wait_for_run() -> Operation:
    seconds = Schema(type=DataType.INTEGER, minimum=0, maximum=LONGEST_WAIT, default=30)
    return Operation(
        operationId="waitForRun",
        summary="The run as soon as it has ended, or as it is when the time is up.",
        parameters=[_RUN_ID, _query("timeout", "Seconds.", seconds)],
        responses=_answers({200: _json(RunView, "The run.")}, 400, 404),
    )


# --- the rest ---------------------------------------------------------------------------------------------------------


def _list_models() -> Operation:
    return Operation(
        operationId="listModels",
        summary="The agents that are served now.",
        responses=_answers({200: _json(shapes.ModelList, "The agents.")}),
    )


def _show_model() -> Operation:
    return Operation(
        operationId="showModel",
        summary="One of them.",
        parameters=[_in_path("model", "Id of an agent.")],
        responses=_answers({200: _json(shapes.Model, "The agent.")}, 404),
    )


def _live() -> Operation:
    return Operation(
        operationId="live",
        summary="Whether this process answers.",
        responses={"200": _json(shapes.Liveness, "It does.")},
        security=[],
    )


def _ready() -> Operation:
    return Operation(
        operationId="ready",
        summary="Whether a run would be accepted and executed.",
        responses={
            "200": _json(shapes.Readiness, "It would."),
            "503": _json(shapes.Readiness, "It would not; `missing` says why."),
        },
        security=[],
    )


def _this() -> Operation:
    anything = Response(description="It.", content={"application/json": MediaType(schema=Schema(type=DataType.OBJECT))})
    return Operation(operationId="describe", summary="This description.", responses={"200": anything}, security=[])


# --- parts ------------------------------------------------------------------------------------------------------------

_PROBLEMS = {
    400: "The request is wrong, and `param` says where; or the model refuses it, and `code` says why.",
    401: "No credential, or an unknown one.",
    403: "Not for this credential: a session of another one, or a page of another site.",
    404: "No such agent, or no such run of this credential.",
    408: "The body did not come in time.",
    409: "The idempotency key was used with another body, or the run was cancelled.",
    413: "The body is too large.",
    429: "Too many runs wait, and `Retry-After` says when to try again; or the model has reached its rate limit.",
    500: "The agent failed, or this service did.",
    502: "The model behind the agent failed.",
    503: "Redis is away, the worker was lost, or this process is restarting.",
    504: "No worker took the run in time, the run or its model took too long, or the client would not have waited for "
    "its end.",
}
_ALWAYS = (401, 403, 500, 503)

_NUMBER = Schema(type=DataType.INTEGER, minimum=0, maximum=2**53, default=0)
_TEXT = Schema(type=DataType.STRING)


def _answers(good: Mapping[int, Response], *problems: int) -> dict[str, Response | Reference]:
    answers: dict[str, Response | Reference] = {str(status): answer for status, answer in good.items()}
    return answers | {str(status): _problem(status) for status in sorted({*problems, *_ALWAYS})}


def _problem(status: int) -> Reference:
    return Reference(**{"$ref": f"#/components/responses/{status}"})


def _json(shape: type[BaseModel], description: str, *, stream: bool = False) -> Response:
    content = {"application/json": MediaType(schema=PydanticSchema(schema_class=shape))}
    return Response(description=description, content={**content, **(_STREAM if stream else {})})


def _events(description: str) -> Response:
    return Response(description=description, content=dict(_STREAM))


_STREAM = {"text/event-stream": MediaType()}  # OpenAPI 3.1 has no words for what an event of it holds


def _body(shape: type[BaseModel]) -> RequestBody:
    content = {"application/json": MediaType(schema=PydanticSchema(schema_class=shape))}
    return RequestBody(content=content, required=True)


def _query(name: str, description: str, schema: Schema = _TEXT) -> Parameter:
    return _parameter(ParameterLocation.QUERY, name, description, schema)


def _header(name: str, description: str, schema: Schema = _TEXT) -> Parameter:
    return _parameter(ParameterLocation.HEADER, name, description, schema)


def _in_path(name: str, description: str) -> Parameter:
    return _parameter(ParameterLocation.PATH, name, description, _TEXT, required=True)


def _parameter(
    where: ParameterLocation, name: str, description: str, schema: Schema, *, required: bool = False
) -> Parameter:
    place = {"in": where}  # a word of Python, so no argument can have this name
    return Parameter(**place, name=name, description=description, schema=schema, required=required)


_RUN_ID = _in_path("run_id", "`id` of the run; also `X-Run-Id` of a chat completion.")
