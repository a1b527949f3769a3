"""Runs, as the document has them."""

from __future__ import annotations

from openapi_pydantic import DataType, Operation, PathItem, Response, Schema

from api.openapi.parts import CURSOR, NUMBER, RUN_ID, STATE, answer, answers, body, count, events, header, query
from api.runs.run_endpoints import LONGEST_WAIT, MOST_PER_PAGE
from api.runs.run_request import RunRequest
from api.runs.run_view import RunPage, RunView


def paths() -> dict[str, PathItem]:
    return {
        "/v1/runs": PathItem(post=_create_run(), get=_list_runs()),
        "/v1/runs/{run_id}": PathItem(get=_show_run()),
        "/v1/runs/{run_id}/events": PathItem(get=_follow_run()),
        "/v1/runs/{run_id}/cancel": PathItem(post=_cancel_run()),
        "/v1/runs/{run_id}/wait": PathItem(get=_wait_for_run()),
    }


EVENTS = """\
Server-Sent Events. Each has the number of the run's event as `id:`, its kind as `event:` (lifecycle, assistant, tool,
call, reasoning, usage) and the event as JSON in `data:`. `event: error` says why no more will come of a run that goes
on."""


NOTHING_LEFT = Response(description="The run has ended, and nothing is left to come.")


def _create_run() -> Operation:
    return Operation(
        operationId="createRun",
        summary="Start a run, and do not wait for it.",
        parameters=[header("Idempotency-Key", "A request with the same key and body gets the run of the first.")],
        requestBody=body(RunRequest),
        responses=answers({202: answer(RunView, "The run.")}, 400, 404, 408, 409, 413, 429),
    )


def _list_runs() -> Operation:
    return Operation(
        operationId="listRuns",
        summary="Your runs, newest first.",
        parameters=[
            query("state", "Only runs in this state.", STATE),
            query("agent", "Only runs of this agent."),
            query("session", "Only runs of this session."),
            query("limit", "Most runs of one page.", count(default=20, most=MOST_PER_PAGE)),
            CURSOR,
        ],
        responses=answers({200: answer(RunPage, "A page of runs.")}, 400),
    )


def _show_run() -> Operation:
    return Operation(
        operationId="showRun",
        summary="A run: its state, its times, and what was said so far.",
        parameters=[RUN_ID],
        responses=answers({200: answer(RunView, "The run.")}, 404),
    )


def _follow_run() -> Operation:
    return Operation(
        operationId="followRun",
        summary="The events of a run, live or finished, from any place on.",
        parameters=[
            RUN_ID,
            query("after", "Number of the last event that came.", NUMBER),
            header("Last-Event-ID", "The same; counts more. Browsers send it by themselves.", NUMBER),
        ],
        responses=answers(
            {200: events(EVENTS), 204: NOTHING_LEFT},
            400,
            404,
        ),
    )


def _cancel_run() -> Operation:
    good = {200: answer(RunView, "It had ended already."), 202: answer(RunView, "It ends in a moment.")}
    return Operation(
        operationId="cancelRun",
        summary="Stop a run and every process of it.",
        parameters=[RUN_ID],
        responses=answers(good, 404),
    )


def _wait_for_run() -> Operation:
    seconds = Schema(type=DataType.INTEGER, minimum=0, maximum=LONGEST_WAIT, default=30)
    return Operation(
        operationId="waitForRun",
        summary="The run as soon as it has ended, or as it is when the time is up.",
        parameters=[RUN_ID, query("timeout", "Seconds.", seconds)],
        responses=answers({200: answer(RunView, "The run.")}, 400, 404),
    )
