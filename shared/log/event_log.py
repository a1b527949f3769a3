"""The event log of a run: what was said. A stream is the truth, pub/sub the fast path, and one attempt at a time may
write. A closed log may be compacted: its stream says the same in fewer bytes, and is read as before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from shared.log.log_script import log_script
from shared.log.packing import BLOCK_EVENTS, pack, unpack
from shared.redis.client import Argument
from shared.redis.keys import Keys
from shared.redis.lua_script import LuaScript
from shared.redis.pipe import Pipe
from shared.redis.replies import Reply, texts
from shared.run.errors import Closed, Fenced, LogLost
from shared.run.events import AssistantEvent, Event, from_json, to_json
from shared.run.flat_text import FlatText
from shared.run.run import End

PAGE = 500  # events read at once

Entry = tuple[bytes, dict[bytes, bytes]]  # of a stream, as redis-py gives it: id and fields


@dataclass(frozen=True)
class Head:
    """Where a log stands: number of its last event, characters of assistant text, number of the last assistant
    message, its end, and how many tools of the client were called."""

    seq: int = 0
    chars: int = 0
    message: int = 0
    end: End | None = None
    calls: int = 0


class EventLog:
    def __init__(self, pipe: Pipe, keys: Keys, *, retention_ms: int) -> None:
        self._pipe = pipe
        self.keys = keys
        self._retention_ms = retention_ms
        acts = ("fence", "append", "close", "touch", "compact")
        self._fence, self._append, self._close, self._touch, self._compact = map(log_script, acts)

    def _keys(self, run_id: str) -> tuple[str, str]:
        return self.keys.stream(run_id), self.keys.head(run_id)

    async def fence(self, run_id: str, attempt: int, *, start: Event | None = None) -> Head:
        """Makes `attempt` the only one that may write, and says where the log stands. Raises Fenced when a later one
        owns it.

        `start` says that the attempt's agent starts. It is added at once, if the log is not closed, and once, however
        often it is told; its number is found here.
        """
        said = (self.keys.channel(run_id), to_json(start) if start else "")
        reply = await self._pipe.run(self._fence, self._keys(run_id), (attempt, self._retention_ms, *said))
        match reply:
            case [1, int(seq), int(chars), int(message), int(calls), bytes(end)]:
                return Head(seq, chars, message, End.model_validate_json(end) if end else None, calls)
            case _:
                raise Fenced(run_id)

    async def append(self, events: Sequence[Event], head: Head) -> None:
        """Adds events, numbered without a hole; `head` is where the log stands after them.

        Safe to repeat with the same events. Raises Fenced, Closed or LogLost when they were not taken.
        """
        await self._write(self._append, events, head)

    async def close(self, events: Sequence[Event], head: Head, end: End) -> None:
        """Adds the last events and the terminal record. Raises Closed when there is one already: that one counts."""
        await self._write(self._close, events, head, end.model_dump_json(by_alias=True))

    async def _write(self, script: LuaScript, events: Sequence[Event], head: Head, *record: str) -> None:
        first = events[0]
        place = (first.attempt, self._retention_ms, self.keys.channel(first.run_id), first.seq)
        texts: tuple[Argument, ...] = (*record, *map(to_json, events))
        after = (head.chars, head.message, head.calls)
        _taken(await self._pipe.run(script, self._keys(first.run_id), (*place, *after, *texts)))

    async def compact(self, run_id: str) -> None:
        """Packs the events of a closed log: they are read as before, and kept in a fraction of the bytes.

        Safe to repeat, and to break off: until all is packed nothing changes. Reads and packs a page at a time. Raises
        LogLost when the log is not closed, or not whole; ValueError when it holds what no release has written.
        """
        last, entries = 0, list[Argument]()
        while page := await self._numbered(run_id, last, PAGE):
            numbers, lines = zip(*page, strict=True)
            if numbers != (*range(last + 1, last + 1 + len(page)),):
                raise LogLost(run_id)
            for events, field, value in pack(lines):
                last += events
                entries += (last, field, value)
        _taken(await self._pipe.run(self._compact, self._keys(run_id), (0, self._retention_ms, last, *entries)))

    async def read(self, run_id: str, after: int, *, most: int = PAGE) -> list[Event]:
        """Events numbered above `after`, in order: so many, unless there are no more (yet).

        It looks no further than a page and a block: where more than that is missing, the log seems to end.
        """
        return [from_json(line) for _, line in await self._numbered(run_id, after, most)]

    async def _numbered(self, run_id: str, after: int, most: int) -> list[tuple[int, bytes]]:
        """The same as numbers and JSON. Of blocks it asks for no more than can be in question: an entry has the number
        of its last event."""
        last = after + most + BLOCK_EVENTS
        reply = await self._pipe.command("XRANGE", self.keys.stream(run_id), f"(0-{after}", f"0-{last}", "COUNT", most)
        said = ((number, line) for number, line in chain.from_iterable(map(_said, _entries(reply))) if number > after)
        return list(islice(said, most))

    async def pages(self, run_id: str, last: int) -> AsyncIterator[list[Event]]:
        """Events from the first one up to number `last`, or as far as there are any, some at a time."""
        seq = 0
        while seq < last and (events := await self.read(run_id, seq, most=min(PAGE, last - seq))):
            yield events
            seq = events[-1].seq

    async def last(self, run_id: str) -> Event | None:
        """The last event; None when there is none (yet)."""
        reply = await self._pipe.command("XREVRANGE", self.keys.stream(run_id), "+", "-", "COUNT", 1)
        said = [line for entry in _entries(reply) for _, line in _said(entry)]
        return from_json(said[-1]) if said else None

    async def head(self, run_id: str) -> Head:
        """Where the log stands now; nowhere, when there is none."""
        names = ("seq", "chars", "message", "calls", "terminal")
        reply = await self._pipe.command("HMGET", self.keys.head(run_id), *names)
        assert isinstance(reply, list), reply
        *numbers, end = (value if isinstance(value, bytes) else b"" for value in reply)
        seq, chars, message, calls = (int(number or 0) for number in numbers)
        return Head(seq, chars, message, End.model_validate_json(end) if end else None, calls)

    async def text(self, run_id: str, head: Head) -> str:
        """The flat text up to `head`."""
        if head.chars == 0:
            return ""
        flat, parts = FlatText(), list[str]()
        async for events in self.pages(run_id, head.seq):
            parts += [flat.add(said.data) for said in events if isinstance(said, AssistantEvent)]
        return "".join(parts)

    async def first_text_ms(self, run_id: str) -> int:
        """When the first assistant text was written, in ms since the epoch by this Redis's clock; 0 when none was."""
        reply = await self._pipe.command("HGET", self.keys.head(run_id), "first")
        return int(reply) if isinstance(reply, bytes) else 0

    async def end(self, run_id: str) -> End | None:
        """The terminal record, once there is one."""
        reply = await self._pipe.command("HGET", self.keys.head(run_id), "terminal")
        return End.model_validate_json(reply) if isinstance(reply, bytes) else None

    async def listeners(self, run_id: str) -> int:
        """How many processes follow the run now, by Redis's word."""
        _, count = texts(await self._pipe.command("PUBSUB", "NUMSUB", self.keys.channel(run_id)))
        return int(count)

    async def touch(self, run_ids: Sequence[str]) -> None:
        """Keeps the logs of silent runs alive."""
        keys = tuple(key for run_id in run_ids for key in self._keys(run_id))
        await self._pipe.run(self._touch, keys, (0, self._retention_ms))

    async def discard(self, run_id: str) -> None:
        """Forgets the log of a run that was not accepted."""
        await self._pipe.command("DEL", *self._keys(run_id))


def _taken(reply: Reply) -> None:
    match reply:
        case b"ok":
            return
        case b"closed":
            raise Closed
        case b"fenced":
            raise Fenced
        case _:
            raise LogLost


def _entries(reply: Reply) -> list[Entry]:
    assert isinstance(reply, list), reply
    return [entry for entry in reply if isinstance(entry, tuple)]


def _said(entry: Entry) -> Iterator[tuple[int, bytes]]:
    """The events of an entry, numbers and JSON."""
    id, fields = entry
    lines, last = unpack(fields), int(id.removeprefix(b"0-"))
    return zip(range(last - len(lines) + 1, last + 1), lines, strict=True)
