from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from pydantic import BaseModel

from cli.api_client import ApiClient
from cli.cli_error import CliError

pytestmark = pytest.mark.slow


class Shape(BaseModel):
    pass


def refusal(url: str) -> str:
    with ApiClient(url, None) as client, pytest.raises(CliError) as refused:
        client.get(Shape, "/")
    return str(refused.value)


@contextmanager
def served(context: ssl.SSLContext | None = None) -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_nothing_listens(unused_port: int) -> None:
    assert "nothing listens there. Start the service" in refusal(f"http://127.0.0.1:{unused_port}")


def test_a_host_without_an_address() -> None:
    assert "its host has no address" in refusal("http://no-such-host.invalid")


def test_a_server_that_speaks_no_tls() -> None:
    with served() as port:
        assert "http:// or https://" in refusal(f"https://127.0.0.1:{port}")


def test_a_certificate_that_is_not_trusted(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=here", "-days", "2"]
    try:
        subprocess.run([*command, "-keyout", key, "-out", certificate], capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with served(context) as port:
        assert "its certificate is not trusted" in refusal(f"https://127.0.0.1:{port}")


def test_a_server_that_does_not_answer(unused_port: int) -> None:
    """It takes the connection, and hangs up."""
    with socket.create_server(("127.0.0.1", unused_port)) as listening:
        hanging_up = threading.Thread(target=lambda: listening.accept()[0].close())
        hanging_up.start()
        assert "Correct RUNRELAY_URL" in refusal(f"http://127.0.0.1:{unused_port}")
        hanging_up.join()
