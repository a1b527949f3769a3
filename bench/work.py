"""The agent's work, which is equal behind every service: deltas that carry their number and the time of emission."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from hashlib import blake2b
from json import dumps, loads

_STAMPED = re.compile(r"(\d{6}):(\d{16});")


@dataclass(frozen=True)
class Work:
    """A piece of work. Its JSON is the message of a request."""

    deltas: int
    interval: float = 0.0  # s between deltas; with 0 they all come at once
    hold_until: float = 0.0  # the last delta waits for this time of the monotonic clock, s
    linger: float = 0.0  # s from the last delta to the end of the answer
    stamped: bool = True  # 24 characters with number and time; else 4, as a model's tokens have

    @property
    def message(self) -> str:
        return dumps(asdict(self))

    @classmethod
    def of(cls, message: str) -> Work:
        return cls(**loads(message))


async def emit_deltas(work: Work) -> AsyncIterator[str]:
    begun = time.monotonic()
    for number in range(work.deltas):
        if work.interval and number:
            # By the clock and not by the delta before, so that the work takes as long on a busy machine.
            await asyncio.sleep(begun + number * work.interval - time.monotonic())
        if work.hold_until and number == work.deltas - 1:
            await asyncio.sleep(work.hold_until - time.monotonic())
        yield f"{number:06d}:{time.monotonic_ns():016d};" if work.stamped else _token(number)
    if work.linger:
        await asyncio.sleep(work.linger)


def _token(number: int) -> str:
    """A token without spaces and words, so that compaction cannot shrink the log more than that of a model's answer."""
    return blake2b(number.to_bytes(4), digest_size=2).hexdigest()


def stamps(text: str) -> list[float]:
    """The emission time of each stamped delta of a text, s of the monotonic clock, which all processes here share."""
    return [int(ns) / 1e9 for _, ns in _STAMPED.findall(text)]


def check(text: str, work: Work) -> None:
    """Raises ValueError unless the text is the whole answer, in order, and nothing else."""
    if work.stamped:
        numbers = [int(number) for number, _ in _STAMPED.findall(text)]
        whole = numbers == list(range(work.deltas)) and len(text) == 24 * work.deltas
    else:
        whole = text == "".join(map(_token, range(work.deltas)))
    if not whole:
        raise ValueError(f"a wrong answer to {work}: {len(text)} characters, {text[:60]!r}")
