"""A request's options for the model behind the agent: the client's tools and the parameters of the completion.

The API does not check the values: the model's own server knows which ones it takes, and reports the others. Null counts
as absent.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import JsonValue

from api.http import api_errors
from shared.run.json_object import JsonObject, too_deep
from shared.run.model_params import PARAMS, TOOLS


@dataclass(frozen=True, slots=True)
class ModelOptions:
    tools: tuple[JsonObject, ...] = ()
    params: JsonObject = field(default_factory=dict)


def read_model_options(fields: JsonObject) -> ModelOptions:
    """The options among a request's fields. Raises ApiError 400 for tools of the wrong type, and for a value that is
    nested too deeply."""
    params = {name: fields[name] for name in PARAMS if fields.get(name) is not None}
    for name, value in params.items():
        _check_depth(name, value)
    return ModelOptions(_tools(fields.get(TOOLS)), params)


def _tools(tools: JsonValue) -> tuple[JsonObject, ...]:
    listed = [] if tools is None else tools
    objects = [tool for tool in listed if isinstance(tool, dict)] if isinstance(listed, list) else []
    if not isinstance(listed, list) or len(objects) < len(listed):
        raise api_errors.invalid_value(TOOLS, "must be a list of tools, each an object")
    _check_depth(TOOLS, tools)
    return tuple(objects)


def _check_depth(name: str, value: JsonValue) -> None:
    if too_deep(value):
        raise api_errors.invalid_value(name, "is nested too deeply")
