"""Whether the service that was started can serve."""

import http.client
import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True)
class Address:
    """Where a client on this machine finds an API that binds `host`."""

    host: str
    port: int

    @property
    def reachable_host(self) -> str:
        try:
            bound = ipaddress.ip_address(self.host)
        except ValueError:
            return self.host
        if bound.is_unspecified:
            return "127.0.0.1" if bound.version == 4 else "::1"
        return self.host

    @property
    def url(self) -> str:
        host = f"[{self.reachable_host}]" if ":" in self.reachable_host else self.reachable_host
        return f"http://{host}:{self.port}"


def ready(address: Address) -> bool:
    """What `GET /readyz` says. No answer is a no."""
    connection = http.client.HTTPConnection(address.reachable_host, address.port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
