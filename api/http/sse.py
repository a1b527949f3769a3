"""Server-Sent Events as bytes."""

from __future__ import annotations

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",  # a proxy that compresses also buffers
    "X-Accel-Buffering": "no",  # nginx
}


def data(payload: bytes) -> bytes:
    """One event. `payload` must be one line: JSON escapes CR and LF, the only bytes that would end the line."""
    return b"data: " + payload + b"\n\n"


def comment(text: str) -> bytes:
    """A line that clients skip and that keeps proxies from closing the connection. `text` must be one line."""
    return b": " + text.encode() + b"\n\n"


DONE = data(b"[DONE]")


def event(name: str, payload: bytes, *, id: int | None = None) -> bytes:
    """One event with a name. Not for OpenAI clients: they fail on `id:` and on event names."""
    number = b"" if id is None else b"id: %d\n" % id
    return number + b"event: " + name.encode() + b"\n" + data(payload)
