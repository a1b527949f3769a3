"""The command line's client of the API: sends requests, parses responses, and reports an error in one line."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Self, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from cli.cli_error import CliError, ExitCode

EVENT_BYTES = 8_388_608  # more than any event has
TIMEOUT = httpx2.Timeout(30, connect=5)
STREAM_TIMEOUT = httpx2.Timeout(30, connect=5)  # a silent stream has a comment every ten seconds

ResponseModel = TypeVar("ResponseModel", bound=BaseModel)
Params = Mapping[str, str | int]

_CODES = {
    401: ExitCode.FORBIDDEN,
    403: ExitCode.FORBIDDEN,
    404: ExitCode.NOT_FOUND,
    502: ExitCode.UNREACHABLE,
    503: ExitCode.UNREACHABLE,
}


def _why(error: Exception) -> str:
    """Why the API was not reached, and what to do."""
    causes = [error]
    while cause := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(cause)  # type: ignore[arg-type]
    match next((cause for cause in reversed(causes) if isinstance(cause, OSError)), error):
        case ssl.SSLCertVerificationError() as refused:
            return (
                f"its certificate is not trusted ({refused.verify_message}). Set SSL_CERT_FILE to that of its issuer."
            )
        case ssl.SSLError():
            return "it does not speak TLS as asked. Look whether RUNRELAY_URL has to begin with http:// or https://."
        case socket.gaierror():
            return "its host has no address. Correct RUNRELAY_URL."
        case ConnectionRefusedError():
            return "nothing listens there. Start the service with `make run`, or correct RUNRELAY_URL."
        case TimeoutError() | httpx2.TimeoutException():
            return "it did not answer in time. Look at its /healthz, or for a firewall on the way."
        case other:
            return f"{str(other) or type(other).__name__}. Correct RUNRELAY_URL, or start the service with `make run`."


class _Error(BaseModel):
    message: str


class _ErrorResponse(BaseModel):
    error: _Error


class ApiClient:
    """A client of the API at one address, with one token. All methods raise CliError when the API does not do as
    requested."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, shape: type[ResponseModel], path: str, params: Params | None = None) -> ResponseModel:
        return self._send(shape, "GET", path, params=dict(params or {}))

    def post(self, shape: type[ResponseModel], path: str, body: Mapping[str, object] | None = None) -> ResponseModel:
        return self._send(shape, "POST", path, content=json.dumps(body or {}).encode())

    def delete(self, shape: type[ResponseModel], path: str) -> ResponseModel:
        return self._send(shape, "DELETE", path)

    def _send(
        self,
        shape: type[ResponseModel],
        method: str,
        path: str,
        *,
        params: dict[str, str | int] | None = None,
        content: bytes | None = None,
    ) -> ResponseModel:
        with self._reached():
            response = self._http.request(method, path, params=params, content=content)
        self._check(response)
        try:
            return shape.model_validate_json(response.content)
        except ValidationError:
            raise CliError(ExitCode.UNREACHABLE, f"{self.url} answers, but not as runrelay does.") from None

    @contextmanager
    def events(self, path: str, after: int) -> Iterator[Iterator[httpx2.ServerSentEvent]]:
        """Yields the events of a run above number `after`, as they come. Raises httpx2.TransportError when the stream
        breaks off."""
        with self._http.stream("GET", path, params={"after": after}, timeout=STREAM_TIMEOUT) as response:
            if not response.is_success:
                response.read()
            self._check(response)
            if response.status_code == 204:
                raise CliError(ExitCode.REFUSED, "The run has ended, and no event of it is left.")
            yield iter(httpx2.EventSource(response, EVENT_BYTES))

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise CliError(ExitCode.UNREACHABLE, f"{self.url} cannot be reached: {_why(error)}") from None

    def _check(self, response: httpx2.Response) -> None:
        if response.is_success:
            return
        try:
            message = _ErrorResponse.model_validate_json(response.content).error.message
        except ValidationError:
            message = f"{self.url} answers with status {response.status_code}."
        code = _CODES.get(response.status_code, ExitCode.REFUSED)
        if response.status_code == 401:
            message = "The service does not know this token. Set RUNRELAY_TOKEN to one of its API_TOKENS,"
            message += " MONITOR_TOKENS or OPERATE_TOKENS."
        raise CliError(code, message)
