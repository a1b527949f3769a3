"""The service, as the command line asks it: HTTP, values, and problems in one line."""

from __future__ import annotations

import json
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


class _Error(BaseModel):
    message: str


class _ErrorAnswer(BaseModel):
    error: _Error


class ApiClient:
    """At one address, with one token; both beyond question by now. Raises Problem wherever it does not do as asked."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, shape: type[ResponseModel], path: str, params: Params | None = None) -> ResponseModel:
        return self._ask(shape, "GET", path, params=dict(params or {}))

    def post(self, shape: type[ResponseModel], path: str, body: Mapping[str, object] | None = None) -> ResponseModel:
        return self._ask(shape, "POST", path, content=json.dumps(body or {}).encode())

    def delete(self, shape: type[ResponseModel], path: str) -> ResponseModel:
        return self._ask(shape, "DELETE", path)

    def _ask(
        self,
        shape: type[ResponseModel],
        method: str,
        path: str,
        *,
        params: dict[str, str | int] | None = None,
        content: bytes | None = None,
    ) -> ResponseModel:
        with self._reached():
            answer = self._http.request(method, path, params=params, content=content)
        self._good(answer)
        try:
            return shape.model_validate_json(answer.content)
        except ValidationError:
            raise CliError(ExitCode.UNREACHABLE, f"{self.url} answers, but not as runrelay does.") from None

    @contextmanager
    def events(self, path: str, after: int) -> Iterator[Iterator[httpx2.ServerSentEvent]]:
        """The events of a run above a number, as they come. Raises httpx2.TransportError when the stream breaks off."""
        with self._http.stream("GET", path, params={"after": after}, timeout=STREAM_TIMEOUT) as answer:
            if not answer.is_success:
                answer.read()
            self._good(answer)
            if answer.status_code == 204:
                raise CliError(ExitCode.REFUSED, "The run has ended, and nothing that it said is left.")
            yield iter(httpx2.EventSource(answer, EVENT_BYTES))

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (httpx2.TransportError, httpx2.InvalidURL) as why:
            reason = str(why) or type(why).__name__
            message = f"{self.url} cannot be reached: {reason}. Set RUNRELAY_URL, or start the service with `make run`."
            raise CliError(ExitCode.UNREACHABLE, message) from None

    def _good(self, answer: httpx2.Response) -> None:
        if answer.is_success:
            return
        try:
            message = _ErrorAnswer.model_validate_json(answer.content).error.message
        except ValidationError:
            message = f"{self.url} answers with status {answer.status_code}."
        code = _CODES.get(answer.status_code, ExitCode.REFUSED)
        if answer.status_code == 401:
            message = "The service does not know this token. Set RUNRELAY_TOKEN to one of its API_TOKENS,"
            message += " MONITOR_TOKENS or OPERATE_TOKENS."
        raise CliError(code, message)
