"""Turns exceptions of endpoints into error responses. Starlette chooses the handler by the exception's class."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from api.http import api_errors
from api.http.api_errors import ApiError
from shared.run.errors import Refused, Unavailable


async def _failure(_: Request, failure: Exception) -> Response:
    assert isinstance(failure, ApiError)
    return Response(failure.body, failure.status, headers=failure.headers)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused | Unavailable)
    return await _failure(request, api_errors.refused(error))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return await _failure(request, ApiError(404, "Not Found", api_errors.INVALID))
    return PlainTextResponse(error.detail, error.status_code, headers=error.headers)


async def _bug(request: Request, _: Exception) -> Response:
    """Responds 500; the process logs the traceback. A run may have been accepted, so the client must not post again."""
    return await _failure(request, api_errors.internal_error())


ERROR_HANDLERS: Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    ApiError: _failure,
    Refused: _refused,
    Unavailable: _refused,
    HTTPException: _http,
    Exception: _bug,
}
