from __future__ import annotations

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from api.http.api_errors import invalid_json
from api.http.disconnect import while_connected
from shared.run.errors import Unavailable


class Client:
    """The client of a request whose body was read. It disconnects when `left` is set."""

    def __init__(self) -> None:
        self.left = anyio.Event()

    @property
    def request(self) -> Request:
        return Request({"type": "http"}, self._receive)

    async def _receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}


async def test_a_client_that_stays_gets_the_response() -> None:
    async def answer() -> Response:
        return Response("Hi")

    assert (await while_connected(Client().request, answer)).body == b"Hi"


async def test_a_client_that_leaves_stops_the_work_on_the_response() -> None:
    client = Client()
    stopped = []

    async def answer() -> Response:
        try:
            client.left.set()
            await anyio.sleep_forever()
            return Response("Hi")
        finally:
            stopped.append(True)

    assert (await while_connected(client.request, answer)).status_code == 499
    assert stopped


@pytest.mark.parametrize("error", [invalid_json(), Unavailable("away")])
async def test_what_goes_wrong_comes_out_as_it_is(error: Exception) -> None:
    """The app would take an exception group around the error for a bug."""

    async def answer() -> Response:
        raise error

    with pytest.raises(type(error)) as raised:
        await while_connected(Client().request, answer)
    assert raised.value is error
