"""A rolling deploy behind real proxies, configured as docs/proxies.md tells."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import httpx
import pytest

from tests.e2e.asking import CHAT, asked, authorised, content
from tests.e2e.play import say
from tests.e2e.process import Process
from tests.e2e.service import Service, started
from tests.e2e.waiting import until
from tests.ports import free_port

DOCS = Path("docs/proxies.md").read_text()
CLIENTS = 6
CHECK_SECONDS = 1.0  # proxies ask every 500 ms whether the new process serves; only then may the next one leave

# The lines that a configuration needs around the documented ones, and the command that runs it.
NGINX = "daemon off; pid {folder}/pid; error_log stderr; events {{}} http {{ access_log off; {paths}\n{block}\n}}"
KINDS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
PATHS = " ".join(f"{kind}_temp_path {{folder}}/{kind};" for kind in KINDS)
CADDY = ("caddy", "run", "--adapter", "caddyfile", "--config", "{config}")
PROXIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "nginx": (NGINX.replace("{paths}", PATHS), ("nginx", "-p", "{folder}", "-c", "{config}")),
    "haproxy": ("{block}", ("haproxy", "-db", "-f", "{config}")),
    "caddy": ("{{\nadmin off\nauto_https off\n}}\n{block}", CADDY),
}


def documented(proxy: str, listening: int, *servers: int) -> str:
    """The configuration from the page, on these ports of this machine."""
    (block,) = re.findall(rf"```{proxy}\n(.*?)```", DOCS, re.DOTALL)
    addresses = {"10.0.0.1:8000": f"127.0.0.1:{servers[0]}", "10.0.0.2:8000": f"127.0.0.1:{servers[1]}"}
    for address, port in addresses.items():
        block = block.replace(address, port)
    return str(block).replace("8080", str(listening))


@contextmanager
def proxied(proxy: str, folder: Path, *servers: int) -> Iterator[str]:
    """The proxy's address, once it passes requests on."""
    listening, config = free_port(), folder / f"{proxy}.conf"
    around, command = PROXIES[proxy]
    config.write_text(around.format(folder=folder, block=documented(proxy, listening, *servers)))
    filled = [word.format(folder=folder, config=config) for word in command]
    with (folder / "proxy.log").open("wb") as log, subprocess.Popen(filled, stdout=log, stderr=log) as process:
        try:
            url = f"http://127.0.0.1:{listening}"
            until(lambda: _passes(url))
            yield url
        finally:
            process.terminate()


def _passes(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").is_success
    except httpx.TransportError:
        return False


class Load:
    """Clients that post one chat after the other, streams and whole answers in turn, until they are told to stop."""

    def __init__(self, url: str, service: Service) -> None:
        self._url, self._service = url, service
        self._enough = Event()
        self.answered = 0
        self.failed: list[str] = []

    def stop(self) -> None:
        self._enough.set()

    def post(self, number: int) -> None:
        with httpx.Client(headers=authorised(), timeout=60) as http:
            while not self._enough.is_set():
                body = asked(self._service.play(say("Hello")).message, "scripted")
                streams = (self.answered + number) % 2 == 0
                try:
                    answer = http.post(self._url + CHAT, json={**body, "stream": streams})
                except httpx.TransportError as error:
                    self.failed.append(repr(error))
                    continue
                whole = "[DONE]" in answer.text and "Hello" in answer.text if streams else content(answer) == "Hello"
                self.answered += 1
                if not (answer.is_success and whole and "error" not in answer.text):
                    self.failed.append(f"{answer.status_code}: {answer.text[:300]}")


@pytest.mark.parametrize("proxy", ["nginx", "haproxy", "caddy"])
def test_a_rolling_deploy_fails_no_request(proxy: str, tmp_path: Path) -> None:
    if not shutil.which(proxy):
        pytest.skip(f"{proxy} is not installed")
    ports = [free_port(), free_port()]
    with started(tmp_path, webs=0, workers=2, settings={"LAME_DUCK_SECONDS": "2"}) as service:
        for port in ports:
            service.start(webs=1, settings={"PORT": str(port)})
        with proxied(proxy, tmp_path, *ports) as url, ThreadPoolExecutor(CLIENTS) as pool:
            load = Load(url, service)
            clients: list[Future[None]] = [pool.submit(load.post, number) for number in range(CLIENTS)]
            try:
                until(lambda: load.answered >= CLIENTS)
                for port in ports:
                    _replace(service, next(web for web in service.webs if web.settings["PORT"] == str(port)), webs=1)
                    time.sleep(CHECK_SECONDS)
                _replace(service, service.workers[0], workers=1)
                before = load.answered
                until(lambda: load.answered >= before + CLIENTS)
            finally:
                load.stop()
            for client in clients:
                client.result()
    assert len(load.failed) <= given_up(tmp_path), load.failed


def given_up(folder: Path) -> int:
    """The streams that Caddy 2.6.2 itself cut off: it does so with one of 13,000, also when nothing is deployed."""
    return (folder / "proxy.log").read_text().count('"reading from backend","error":"read tcp')


def _replace(service: Service, process: Process, *, webs: int = 0, workers: int = 0) -> None:
    """Stops the process as a deploy does, and starts another one in its place."""
    process.signal(signal.SIGTERM)
    process.exit_code()
    service.start(webs=webs, workers=workers, settings={"PORT": process.settings["PORT"]})
