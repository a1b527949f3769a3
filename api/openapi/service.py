"""Agents, health and the document itself, as it has them."""

from __future__ import annotations

from openapi_pydantic import DataType, MediaType, Operation, PathItem, Response, Schema

from api.chat import chat_schema
from api.openapi.parts import answer, answers, in_path


def paths() -> dict[str, PathItem]:
    return {
        "/v1/models": PathItem(get=_list_models()),
        "/v1/models/{model}": PathItem(get=_show_model()),
        "/healthz": PathItem(get=_live()),
        "/readyz": PathItem(get=_ready()),
        "/metrics": PathItem(get=_metrics()),
        "/openapi.json": PathItem(get=_this()),
    }


def _list_models() -> Operation:
    return Operation(
        operationId="listModels",
        summary="The agents that are served now.",
        responses=answers({200: answer(chat_schema.ModelList, "The agents.")}),
    )


def _show_model() -> Operation:
    return Operation(
        operationId="showModel",
        summary="One of them.",
        parameters=[in_path("model", "Id of an agent.")],
        responses=answers({200: answer(chat_schema.Model, "The agent.")}, 404),
    )


def _live() -> Operation:
    return Operation(
        operationId="live",
        summary="Whether this process answers.",
        responses={"200": answer(chat_schema.Liveness, "It does.")},
        security=[],
    )


def _ready() -> Operation:
    return Operation(
        operationId="ready",
        summary="Whether a run would be accepted and executed.",
        responses={
            "200": answer(chat_schema.Readiness, "It would."),
            "503": answer(chat_schema.Readiness, "It would not; `missing` says why."),
        },
        security=[],
    )


def _metrics() -> Operation:
    texts = {kind: MediaType(schema=Schema(type=DataType.STRING)) for kind in _TEXTS}
    return Operation(
        operationId="metrics",
        summary="What this process measures, and what Redis says of the whole service, for Prometheus.",
        responses=answers({200: Response(description="In the form that `Accept` prefers.", content=texts)}),
    )


_TEXTS = ("text/plain", "application/openmetrics-text")


def _this() -> Operation:
    anything = Response(description="It.", content={"application/json": MediaType(schema=Schema(type=DataType.OBJECT))})
    return Operation(operationId="describe", summary="This description.", responses={"200": anything}, security=[])
