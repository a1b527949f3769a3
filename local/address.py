"""Where the API listens."""

import errno
import http.client
from contextlib import closing, suppress

from shared.bind import bind
from shared.run.errors import SettingsError

LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here


def local_url(host: str, port: int) -> str:
    """The URL at which a client on this machine reaches an API that binds `host`."""
    host = LOOPBACK.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def check_address(host: str, port: int) -> None:
    """Raises SettingsError unless the API will be able to bind the address."""
    try:
        for bound in bind(host, "PORT", port):
            bound.close()
    except SettingsError as refused:
        taken = isinstance(cause := refused.__cause__, OSError) and cause.errno == errno.EADDRINUSE
        hint = f" (for another port: PORT={port + 1} make run)" if taken else ""
        raise SettingsError(f"{refused}{hint}") from None


def ready(url: str) -> bool:
    """Whether `GET /readyz` answers 200."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=1)
    with closing(connection), suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    return False
