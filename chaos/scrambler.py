"""Turns replies of Redis into replies that nobody foresaw: errors, known or made up, also where the command was executed;
replies of another type; and replies that break off in the middle."""

from __future__ import annotations

from random import Random

SHARE = 0.1  # of the replies

ERRORS = (
    b"-ERR nobody foresaw this\r\n",
    b"-NOPERM this user has no permissions\r\n",
    b"-LOADING Redis is loading the dataset in memory\r\n",
    b"-BUSY Redis is busy running a script\r\n",
    b"-MISCONF Redis cannot save\r\n",
    b"-CLUSTERDOWN The cluster is down\r\n",
    b"-MOVED 1 127.0.0.1:1\r\n",
    b"-NOREPLICAS Not enough good replicas\r\n",
    b"-ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed\r\n",
    b"-FROBNICATE made up\r\n",
)
OTHER_TYPES = (b":42\r\n", b"+FROBNICATED\r\n")


class Scrambler:
    """For one connection, from its first byte on: it has to know where each reply begins."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._rest = b""

    def scrambled(self, piece: bytes) -> tuple[bytes, bool]:
        """What the client gets instead of `piece`, and whether the connection ends with that."""
        self._rest += piece
        given, at = bytearray(), 0
        while (end := _end(self._rest, at)) is not None:
            reply, at = self._rest[at:end], end
            if self._random.random() >= SHARE:
                given += reply
                continue
            fate = self._random.random()
            if fate < 0.2:
                return bytes(given + reply[: len(reply) // 2]), True
            given += self._random.choice(ERRORS if fate < 0.8 else OTHER_TYPES)
        self._rest = self._rest[at:]
        return bytes(given), False


def _end(data: bytes, at: int) -> int | None:
    """Where the reply that begins at `at` ends; None when it has not come whole."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return None
    kind, rest = data[at : at + 1], line + 2
    if kind in (b"$", b"*"):
        size = int(data[at + 1 : line])
        if kind == b"$":
            end = rest + size + 2 if size >= 0 else rest
            return end if end <= len(data) else None
        place: int | None = rest
        for _ in range(size):
            place = _end(data, place) if place is not None else None
        return place
    return rest
