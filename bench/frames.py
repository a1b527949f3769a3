"""Chat chunks as a plain service writes them, for the services that runrelay is compared with."""

from __future__ import annotations

import json
import time
from uuid import uuid4

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
DONE = b"data: [DONE]\n\n"


class Chunks:
    def __init__(self) -> None:
        self._id = f"chatcmpl_{uuid4()}"
        self._created = int(time.time())

    def role(self) -> bytes:
        return self._frame({"role": "assistant"})

    def content(self, text: str) -> bytes:
        return self._frame({"content": text})

    def finish(self) -> bytes:
        return self._frame({}, "stop")

    def _frame(self, delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        chunk = {"id": self._id, "object": "chat.completion.chunk", "created": self._created, "model": "bench"}
        return f"data: {json.dumps({**chunk, 'choices': [choice]}, separators=(',', ':'))}\n\n".encode()
