"""Idle connections take every descriptor that a process has, and more."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.e2e.asking import CHAT, asked, content
from tests.e2e.play import say
from tests.e2e.process import COMMANDS
from tests.e2e.service import Service, started
from tests.ports import free_port

DESCRIPTORS = 192  # that each process may have
NARROW = {kind: f"sh -c 'ulimit -n {DESCRIPTORS}; exec {command}'" for kind, command in COMMANDS.items()}


@pytest.fixture
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with started(tmp_path_factory.mktemp("narrow"), webs=0, workers=0) as service:
        service.start(webs=1, workers=1, settings={"METRICS_PORT": str(free_port())}, commands=NARROW)
        yield service


def hoard(stack: ExitStack, url: httpx.URL, sent: bytes) -> None:
    """Opens more connections than the process has descriptors, and sends a part of a request on each."""
    for _ in range(2 * DESCRIPTORS):
        connection = stack.enter_context(socket.create_connection((url.host, url.port or 0), timeout=10))
        connection.sendall(sent)


@pytest.mark.parametrize(
    "sent", [b"", b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nX-Slow:"], ids=["idle", "slow"]
)
def test_a_web_process_with_more_idle_connections_than_descriptors_serves(
    narrow: Service, cluster_http: httpx.Client, sent: bytes
) -> None:
    """The connections that have been idle for longest make room."""
    with ExitStack() as stack:
        hoard(stack, httpx.URL(narrow.url), sent)
        play = narrow.play(say("Hello"))
        answer = cluster_http.post(narrow.url + CHAT, json=asked(play.message, "scripted"))
        assert content(answer) == "Hello"
        assert httpx.get(f"{narrow.url}/healthz").is_success
    assert narrow.webs[0].running


def test_a_worker_with_more_connections_than_descriptors_works(narrow: Service, cluster_http: httpx.Client) -> None:
    (worker,) = narrow.workers
    url = httpx.URL(f"http://127.0.0.1:{worker.settings['METRICS_PORT']}")
    with ExitStack() as stack:
        hoard(stack, url, b"")
        play = narrow.play(say("Hello"))
        answer = cluster_http.post(narrow.url + CHAT, json=asked(play.message, "scripted"))
        assert content(answer) == "Hello"
        assert httpx.get(url.join("/healthz")).is_success
    assert worker.running
