"""A Redis that confirms subscriptions and answers nothing afterwards, like one behind a half-open link."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress

import hiredis


class DeafRedis:
    def __init__(self) -> None:
        self.url = ""
        self.links = 0  # subscriptions so far

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands, deaf = hiredis.Reader(), False
        with suppress(ConnectionResetError), closing(writer):  # a client drops the link with unread bytes on it
            while data := await reader.read(65_536):
                commands.feed(data)
                while not deaf and (command := commands.gets()) is not False:
                    deaf = command[0] == b"SUBSCRIBE"
                    writer.write(self._answer(*command))

    def _answer(self, name: bytes, *arguments: bytes) -> bytes:
        if name != b"SUBSCRIBE":
            return b"+PONG\r\n" if name == b"PING" else b"+OK\r\n"
        self.links += 1
        form = b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:%d\r\n"
        return b"".join(form % (len(channel), channel, count) for count, channel in enumerate(arguments, 1))


@asynccontextmanager
async def deaf_redis() -> AsyncIterator[DeafRedis]:
    deaf = DeafRedis()
    async with await asyncio.start_server(deaf.serve, "127.0.0.1", 0) as server:
        deaf.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield deaf
