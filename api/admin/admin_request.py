"""Parses the bodies of operators' requests."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from api.http import api_errors
from api.http.body import BODY_SECONDS, read_body

BODY_BYTES = 65_536

BodyModel = TypeVar("BodyModel", bound=BaseModel)


async def parse_body(request: Request, shape: type[BodyModel]) -> BodyModel:
    """Parses the body; an empty one is `{}`. Raises ApiError 400 that names the wrong field. A misspelt filter must not
    pass for no filter: the operation would change all runs."""
    raw = await read_body(request, limit=BODY_BYTES, seconds=BODY_SECONDS)
    try:
        return shape.model_validate_json(raw.strip() or b"{}")
    except ValidationError as wrong:
        first = wrong.errors()[0]
        raise api_errors.invalid_value(".".join(map(str, first["loc"])) or "body", first["msg"]) from None
