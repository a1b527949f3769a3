"""A TCP proxy that delays, stalls and cuts connections on command. Its address stays when its target changes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random

from chaos.scrambler import Scrambler

CHUNK = 65_536
BUFFER = 32_768  # of the kernel, towards the server: a slow client has to slow down the server behind the proxy


class Proxy:
    def __init__(self, port: int) -> None:
        """`port` is the target's. `self.port` is the proxy's own, once it serves."""
        self.target = port
        self.delay = 0.0  # seconds that each piece waits
        self.port = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._links: set[_Link] = set()
        self._scrambling: Random | None = None

    def scramble(self, random: Random | None) -> None:
        """From now on new connections get scrambled replies, or again true ones. Ends those that are open: a scrambler
        has to see a connection from its begin."""
        self._scrambling = random
        self.cut(Random(0), share=1.0)

    def stall(self) -> None:
        """Holds back all data; connections stay open."""
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    def cut(self, random: Random, share: float) -> int:
        """Resets that share of the connections, and returns how many."""
        chosen = [link for link in self._links if random.random() < share]
        for link in chosen:
            link.reset()
        return len(chosen)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for link in tuple(self._links):
                link.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, there[1])
        self._links.add(link)
        try:
            scrambler = Scrambler(self._scrambling) if self._scrambling else None
            await asyncio.gather(self._pump(reader, there[1]), self._pump(there[0], writer, scrambler))
        finally:
            link.reset()
            self._links.discard(link)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        link = socket.socket()
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        link.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(link, ("127.0.0.1", self.target))
        except OSError:
            link.close()
            raise
        return await asyncio.open_connection(sock=link, limit=CHUNK)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, scrambler: Scrambler | None = None
    ) -> None:
        with suppress(OSError, RuntimeError):  # one end was reset: uvloop raises a RuntimeError then
            while piece := await source.read(CHUNK):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._flowing.wait()
                over = False
                if scrambler is not None:
                    piece, over = scrambler.scrambled(piece)
                sink.write(piece)
                await sink.drain()
                if over:
                    break
            if sink.can_write_eof():
                sink.write_eof()
            return
        sink.transport.abort()


class _Link:
    def __init__(self, *ends: asyncio.StreamWriter) -> None:
        self._ends = ends

    def reset(self) -> None:
        for end in self._ends:
            end.transport.abort()
