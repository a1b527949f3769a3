"""Requests as a plain HTTP client makes them, and what their answers say."""

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
    """The body of a request."""
    return {"model": f"clawdbot:{agent}", "messages": [{"role": "user", "content": message}], **fields}


def content(answer: httpx.Response) -> str:
    """The text of a whole answer."""
    assert answer.status_code == 200, answer.text
    text = answer.json()["choices"][0]["message"]["content"]
    assert isinstance(text, str)
    return text


def given(answer: httpx.Response) -> dict[str, Any]:
    """What the agent `mirror` was given."""
    input = json.loads(content(answer))
    assert isinstance(input, dict)
    return input


@contextmanager
def stream(
    http: httpx.Client, body: Mapping[str, object], *, url: str = "", headers: Mapping[str, str] | None = None
) -> Iterator[Iterator[str]]:
    """The frames of a streamed answer, as they come. `url` is of another web process than the client's own."""
    with http.stream("POST", url + CHAT, json={**body, "stream": True}, headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        yield frames(answer.iter_raw())


def frames(pieces: Iterable[bytes]) -> Iterator[str]:
    """The frames of an event stream, each as soon as it is whole. Nothing may be left behind the last."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n\n")
        yield from (frame.decode() for frame in whole)
    assert rest == b""


def payload(frame: str) -> Any:
    """The JSON of a frame, which has nothing else."""
    assert frame.startswith("data: "), frame
    return json.loads(frame.removeprefix("data: "))


def streamed(heard: Iterable[str]) -> str:
    """The text of all frames of a stream that ends as it should."""
    first, *chunks, done = _told(heard)
    assert payload(first)["choices"][0]["delta"] == {"role": "assistant"}
    assert done == "data: [DONE]"
    *said, finish = [payload(chunk)["choices"][0] for chunk in chunks]
    assert finish == {"index": 0, "delta": {}, "finish_reason": "stop"}
    return "".join(choice["delta"]["content"] for choice in said)


def heard_until(text: str, heard: Iterator[str]) -> list[str]:
    """The frames up to where they have said this."""
    got, said = [], ""
    while said != text:
        got.append(next(heard))
        if not got[-1].startswith(":"):
            said += payload(got[-1])["choices"][0]["delta"].get("content", "")
    return got


def broken_off(heard: Iterable[str]) -> Any:
    """The error that ends a stream, instead of a finish."""
    *before, failure, done = _told(heard)
    assert done == "data: [DONE]"
    assert not [frame for frame in before if payload(frame)["choices"][0]["finish_reason"]]
    return payload(failure)["error"]


def _told(heard: Iterable[str]) -> list[str]:
    return [frame for frame in heard if not frame.startswith(":")]
