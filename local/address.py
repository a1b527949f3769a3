"""Where the API listens."""

import errno
import http.client
import socket
from contextlib import closing, suppress

from local.terminal import SessionError

LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here


def local_url(host: str, port: int) -> str:
    """Where a client on this machine finds an API that binds `host`."""
    host = LOOPBACK.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def check_address(host: str, port: int) -> None:
    """Raises SessionError unless the API will be able to listen there."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # With SO_REUSEADDR, as the API listens: connections of the last session in TIME_WAIT do not count.
        socket.create_server(address, family=family).close()
    except OSError as refused:
        reason = f"cannot listen on HOST={host} PORT={port}: {refused.strerror}"
        if refused.errno == errno.EADDRINUSE:
            reason = f"port {port} is in use; stop what listens there, or choose another: PORT={port + 1} make run"
        raise SessionError(reason) from None


def ready(url: str) -> bool:
    """What `GET /readyz` says. No answer is a no."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=1)
    with closing(connection), suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    return False
