"""Whether the API can listen where it should: known before anything is started."""

import errno
import socket

from local.errors import StartError


def check_address(host: str, port: int) -> None:
    """Raises StartError unless the API will be able to listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the API does, so that connections of the last session in TIME_WAIT do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as refused:
        if refused.errno == errno.EADDRINUSE:
            raise StartError(
                f"port {port} is in use; stop what listens there, or choose another: PORT={port + 1} make run"
            ) from None
        raise StartError(f"cannot listen on HOST={host} PORT={port}: {refused.strerror}") from None
