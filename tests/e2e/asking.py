"""Makes requests as a plain HTTP client does, and reads their answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from tests.e2e.service import ALICE

CHAT = "/v1/chat/completions"


def authorised(token: str = ALICE) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def asked(message: str, agent: str = "main", **fields: object) -> dict[str, object]:
    """The body of a chat request."""
    return {"model": f"clawdbot:{agent}", "messages": [{"role": "user", "content": message}], **fields}


def content(answer: httpx.Response) -> str:
    """The text of a whole answer."""
    assert answer.status_code == 200, answer.text
    text = answer.json()["choices"][0]["message"]["content"]
    assert isinstance(text, str)
    return text


def given(answer: httpx.Response) -> dict[str, Any]:
    """The input of the agent `mirror`, from its answer."""
    input = json.loads(content(answer))
    assert isinstance(input, dict)
    return input


@contextmanager
def stream(
    http: httpx.Client, body: Mapping[str, object], *, url: str = "", headers: Mapping[str, str] | None = None
) -> Iterator[Iterator[str]]:
    """The frames of a streamed answer, as they come. `url`: another web process than that of the client."""
    with http.stream("POST", url + CHAT, json={**body, "stream": True}, headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        yield frames(answer.iter_raw())


def frames(pieces: Iterable[bytes]) -> Iterator[str]:
    """The frames of an event stream, each as soon as it is whole. Fails when bytes follow the last frame."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n\n")
        yield from (frame.decode() for frame in whole)
    assert rest == b""


def payload(frame: str) -> Any:
    """The JSON of a frame. Fails when the frame has other fields than `data`."""
    assert frame.startswith("data: "), frame
    return json.loads(frame.removeprefix("data: "))


def streamed(received: Iterable[str]) -> str:
    """The text of all frames of a stream. Fails unless it ends with `stop` and `[DONE]`."""
    first, *chunks, done = _without_comments(received)
    assert payload(first)["choices"][0]["delta"] == {"role": "assistant"}
    assert done == "data: [DONE]"
    *choices, finish = [payload(chunk)["choices"][0] for chunk in chunks]
    assert finish == {"index": 0, "delta": {}, "finish_reason": "stop"}
    return "".join(choice["delta"]["content"] for choice in choices)


def received_until(text: str, received: Iterator[str]) -> list[str]:
    """Reads frames until they have brought exactly this text, and returns them."""
    got, emitted = [], ""
    while emitted != text:
        got.append(next(received))
        if not got[-1].startswith(":"):
            emitted += payload(got[-1])["choices"][0]["delta"].get("content", "")
    return got


def broken_off(received: Iterable[str]) -> Any:
    """The error at the end of a stream. Fails when the stream has a finish reason."""
    *before, failure, done = _without_comments(received)
    assert done == "data: [DONE]"
    assert not [frame for frame in before if payload(frame)["choices"][0]["finish_reason"]]
    return payload(failure)["error"]


def _without_comments(received: Iterable[str]) -> list[str]:
    return [frame for frame in received if not frame.startswith(":")]
