"""A pydantic value as a JSON response."""

from __future__ import annotations

from pydantic import BaseModel
from starlette.responses import Response

from api.http import api_errors


def json_response(body: BaseModel, status: int = 200) -> Response:
    return Response(body.model_dump_json(), status, headers={"Content-Type": api_errors.JSON})
