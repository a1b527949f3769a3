"""Server-Sent Events as bytes."""

from __future__ import annotations

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",  # a proxy that compresses also collects
    "X-Accel-Buffering": "no",  # nginx
}


def data(payload: bytes) -> bytes:
    """One event. `payload` is one line: JSON escapes CR and LF, the only bytes that would end it."""
    return b"data: " + payload + b"\n\n"


def comment(text: str) -> bytes:
    """A line that clients skip and proxies take for life. `text` is one line."""
    return b": " + text.encode() + b"\n\n"


DONE = data(b"[DONE]")
