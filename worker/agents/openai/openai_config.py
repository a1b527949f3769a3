"""The keys of an agent of kind `openai` in agents.toml."""

from __future__ import annotations

import json
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from shared.run.json_object import JsonObject
from shared.run.model_params import PARAMS, TOOLS, USUAL
from worker.agents.common_config import PATIENCE_SECONDS, CommonConfig, Patience, VariableName


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// address, such as https://api.openai.com/v1")
    return text


def _param(text: str) -> str:
    if text not in (TOOLS, *PARAMS):
        raise ValueError(f"is no field that a run carries; those are {', '.join((TOOLS, *PARAMS))}")
    return text


def _fixed(params: JsonObject) -> JsonObject:
    if ours := [name for name in ("model", "messages", "stream", "stream_options", "n") if name in params]:
        raise ValueError(f"{ours[0]} cannot be set here")
    try:
        json.dumps(params, allow_nan=False)
    except ValueError:
        raise ValueError("must not hold a number that is none in JSON, such as inf") from None
    return params


ParamName = Annotated[str, AfterValidator(_param)]


class OpenAIConfig(CommonConfig):
    """A model behind an OpenAI-compatible API."""

    kind: Literal["openai"]
    base_url: Annotated[str, AfterValidator(_http_url)]
    model: str = Field(min_length=1)
    api_key_env: VariableName | None = None  # the variable that holds the key; None: the server needs no key
    allowed_params: tuple[ParamName, ...] = (TOOLS, *USUAL)  # fields of a request that the model gets
    params: Annotated[JsonObject, AfterValidator(_fixed)] = Field({})  # fields with the same value in all requests
    patience_seconds: Patience = PATIENCE_SECONDS
    max_retries: int = Field(2, ge=0, le=10)  # after failures before the first byte of an answer
