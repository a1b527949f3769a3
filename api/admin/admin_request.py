"""What an operator asks for, in a request's body."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from api.http import api_errors
from api.http.body import BODY_SECONDS, read_body

BODY_BYTES = 65_536

BodyModel = TypeVar("BodyModel", bound=BaseModel)


async def parse_body(request: Request, shape: type[BodyModel]) -> BodyModel:
    """The body; an empty one says nothing. Raises Failure 400 that names the field: what is misspelt must not mean
    everything."""
    raw = await read_body(request, limit=BODY_BYTES, seconds=BODY_SECONDS)
    try:
        return shape.model_validate_json(raw.strip() or b"{}")
    except ValidationError as wrong:
        first = wrong.errors()[0]
        raise api_errors.invalid_value(".".join(map(str, first["loc"])) or "body", first["msg"]) from None
