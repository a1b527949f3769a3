"""Connections that break between two steps of redis-py, which then raises errors that are not its own."""

from __future__ import annotations

from typing import Self, cast

import pytest
from redis.asyncio import Redis

from shared.redis.client import redis_errors_as_unavailable
from shared.redis.pipe import Pipe
from shared.run.errors import Unavailable

RESET = "unable to perform operation on <TCPTransport closed=True reading=False 0x1>; the handler is closed"


class Broken:
    """A client that cannot give a connection."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    @property
    def connection_pool(self) -> Self:
        return self

    async def get_connection(self) -> object:
        raise self._error


async def test_a_call_on_a_connection_that_was_just_reset_is_answered() -> None:
    """Otherwise the caller would wait for ever."""
    with pytest.raises(Unavailable):
        await Pipe(cast("Redis", Broken(RuntimeError(RESET)))).command("PING")


async def test_a_call_that_meets_a_bug_is_answered_with_the_bug() -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        await Pipe(cast("Redis", Broken(RuntimeError("a bug")))).command("PING")


def test_a_reset_means_not_now() -> None:
    with pytest.raises(Unavailable), redis_errors_as_unavailable():
        raise RuntimeError(RESET)


def test_a_bug_stays_a_bug() -> None:
    with pytest.raises(RuntimeError, match="a bug"), redis_errors_as_unavailable():
        raise RuntimeError("a bug")
