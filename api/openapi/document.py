"""Makes an OpenAPI document from declared endpoints. Pure.

This file lists no endpoint: each is declared on its handler. Each body is a pydantic model, and pydantic's own
`models_json_schema` makes the schemas and their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.http.auth import Scope
from api.http.endpoint import Endpoint, ResponseOf
from api.http.error_schema import MEANINGS, ErrorAnswer
from api.http.json_value import JsonObject, compact
from api.http.parameters import Parameter
from shared.run.release import RELEASE

ABOUT = """\
An OpenAI-compatible front door for agents. Every request makes a *run*, which a worker executes. `/v1/runs` shows it,
and a client that lost its connection reads on with the run's id. A run belongs to the credential that made it; with any
other credential it is not found. `/v1/admin` shows all runs to operators, whose credentials have scopes of their own. A
service without credentials serves programs on its own machine only."""

JSON = "application/json"


@cache
def document(endpoints: tuple[Endpoint, ...]) -> bytes:
    """The document as JSON. It is made once for a set of endpoints."""
    return compact(
        {
            "openapi": "3.1.1",
            "info": {"title": "runrelay", "version": RELEASE, "description": ABOUT},
            "paths": _paths(endpoints),
            "components": {
                "schemas": _schemas({ErrorAnswer, *_models(endpoints)}),
                "responses": {str(status): _response(ResponseOf(ErrorAnswer, how)) for status, how in MEANINGS.items()},
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            },
            "security": [{"bearer": []}],
        }
    )


def _paths(endpoints: tuple[Endpoint, ...]) -> JsonObject:
    paths: dict[str, JsonObject] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {**paths}


def _operation(endpoint: Endpoint) -> JsonObject:
    operation: JsonObject = {"operationId": endpoint.name, "summary": endpoint.summary}
    if endpoint.scope is None:
        operation["security"] = []
    elif endpoint.scope is not Scope.API:
        operation["description"] = f"Needs the scope `{endpoint.scope}`."
    if endpoint.path.startswith("/v1/admin/"):
        operation["tags"] = ["admin"]
    if endpoint.parameters:
        operation["parameters"] = [_parameter(parameter) for parameter in endpoint.parameters]
    if endpoint.body is not None:
        content: JsonObject = {JSON: {"schema": _reference("schemas", endpoint.body.__name__)}}
        operation["requestBody"] = {"content": content, "required": endpoint.body_required}
    responses: JsonObject = {str(status): _response(response) for status, response in endpoint.responses.items()}
    errors: JsonObject = {str(status): _reference("responses", str(status)) for status in endpoint.error_statuses}
    operation["responses"] = errors | responses
    return operation


def _parameter(parameter: Parameter) -> JsonObject:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "required": parameter.place == "path",
        "schema": parameter.schema,
    }


def _response(response: ResponseOf) -> JsonObject:
    content: JsonObject = {media: {"schema": {"type": kind}} if kind else {} for media, kind in response.media.items()}
    if response.model is not None:
        content[JSON] = {"schema": _reference("schemas", response.model.__name__)}
    described: JsonObject = {"description": response.description}
    return {**described, "content": content} if content else described


def _reference(kind: str, name: str) -> JsonObject:
    return {"$ref": f"#/components/{kind}/{name}"}


def _models(endpoints: tuple[Endpoint, ...]) -> Iterator[type[BaseModel]]:
    for endpoint in endpoints:
        models = (endpoint.body, *(response.model for response in endpoint.responses.values()))
        yield from (model for model in models if model is not None)


def _schemas(models: set[type[BaseModel]]) -> JsonObject:
    """The schemas by name. Two models of one name would get longer names here than in the references. A test follows
    each reference."""
    # Not by alias: response bodies have names in snake_case. Only events have other names, and no response is an event.
    ordered = sorted(models, key=lambda model: model.__name__)
    _, definitions = models_json_schema(
        [(model, "validation") for model in ordered], by_alias=False, ref_template="#/components/schemas/{model}"
    )
    schemas: JsonObject = definitions["$defs"]
    return schemas
