from __future__ import annotations

import pytest
from pydantic import JsonValue

from api.http.api_errors import ApiError
from api.intake.model_options import ModelOptions, read_model_options
from shared.run.json_object import LEVELS
from shared.run.model_params import PARAMS

TOOL: dict[str, JsonValue] = {"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}}


def test_what_a_request_says_to_a_model_is_kept_as_it_is() -> None:
    params: dict[str, JsonValue] = {"temperature": 0, "stop": ["a"], "seed": "no number", "tool_choice": "auto"}
    body: dict[str, JsonValue] = {"model": "m", "messages": [], "n": 3, "user": "u", "tools": [TOOL], **params}
    assert read_model_options(body) == ModelOptions((TOOL,), params)


def test_null_and_no_tools_are_absent() -> None:
    assert (
        read_model_options({**dict.fromkeys(PARAMS), "tools": None})
        == read_model_options({"tools": []})
        == ModelOptions()
    )


@pytest.mark.parametrize("tools", ["x", {}, 1, True, [1], [TOOL, None], [[TOOL]]])
def test_tools_that_are_none_are_refused(tools: JsonValue) -> None:
    with pytest.raises(ApiError, match="list of tools") as failed:
        read_model_options({"tools": tools})
    assert (failed.value.status, failed.value.error["param"]) == (400, "tools")


@pytest.mark.parametrize("name", ["tools", "response_format"])
def test_what_is_passed_on_is_not_nested_without_end(name: str) -> None:
    deep: JsonValue = {}
    for _ in range(LEVELS):
        deep = {"x": deep}
    with pytest.raises(ApiError, match="nested too deeply") as failed:
        read_model_options({name: [deep]})
    assert failed.value.error["param"] == name
