"""The event log of a run. A stream is the truth, pub/sub the fast path, and one attempt at a time may write. A closed
log may be compacted: its stream then holds the same events in fewer bytes, and reading it works as before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from shared.log.log_script import log_script
from shared.log.packing import BLOCK_EVENTS, pack, unpack
from shared.redis.client import Argument
from shared.redis.keys import LOG_OUTLIVES_MS, Keys
from shared.redis.lua_script import LuaScript
from shared.redis.pipe import Pipe
from shared.redis.replies import Reply, items, only, unexpected
from shared.run.errors import Closed, Fenced, LogLost
from shared.run.events import Event, from_json, to_json
from shared.run.flat_text import WholeText
from shared.run.run import End

PAGE = 500  # events read at once

Entry = tuple[bytes, dict[bytes, bytes]]  # an entry of a stream as redis-py returns it: id and fields


@dataclass(frozen=True)
class Head:
    """Where a log stands: the number of its last event, the characters of its assistant text, the number of the last
    assistant message, the terminal record, the number of calls of the client's tools, and the last attempt that started
    its agent (0: none)."""

    seq: int = 0
    chars: int = 0
    message: int = 0
    end: End | None = None
    calls: int = 0
    started: int = 0


class EventLog:
    def __init__(self, pipe: Pipe, keys: Keys, *, retention_ms: int) -> None:
        self._pipe = pipe
        self.keys = keys
        self._keep_ms = retention_ms + LOG_OUTLIVES_MS
        names = ("fence", "append", "close", "touch", "compact")
        self._fence, self._append, self._close, self._touch, self._compact = map(log_script, names)

    def _keys(self, run_id: str) -> tuple[str, str]:
        return self.keys.stream(run_id), self.keys.head(run_id)

    async def fence(self, run_id: str, attempt: int, *, start: Event | None = None) -> Head:
        """Makes `attempt` the only one that may write, and returns where the log stands. Raises Fenced when a later
        attempt owns the log.

        `start` is the event of the attempt's agent starting. The script numbers it and adds it, unless the log is
        closed. Repeated calls add it only once.
        """
        event = (self.keys.channel(run_id), to_json(start) if start else "")
        reply = await self._pipe.run(self._fence, self._keys(run_id), (attempt, self._keep_ms, *event))
        match reply:
            case [1, int(seq), int(chars), int(message), int(calls), int(started), bytes(end)]:
                return Head(seq, chars, message, self._end(run_id, end), calls, started)
            case [0]:
                raise Fenced(run_id)
            case reply:
                raise unexpected(reply)

    def _end(self, run_id: str, terminal: Reply) -> End | None:
        """The terminal record. Raises Unreadable."""
        if not isinstance(terminal, bytes) or not terminal:
            return None
        with self._pipe.unreadables.raised("end", run_id):
            return End.model_validate_json(terminal)

    async def append(self, events: Sequence[Event], head: Head) -> None:
        """Adds events, numbered without a hole; `head` is where the log stands after them.

        Safe to repeat with the same events. Raises Fenced, Closed or LogLost when the log refuses them.
        """
        await self._write(self._append, events, head)

    async def close(self, events: Sequence[Event], head: Head, end: End) -> None:
        """Adds the last events and the terminal record; `head` is where the log stands after them. Raises Closed when
        the log has a terminal record already: that one counts. Raises Fenced or LogLost as `append` does."""
        await self._write(self._close, events, head, end.model_dump_json(by_alias=True))

    async def _write(self, script: LuaScript, events: Sequence[Event], head: Head, *record: str) -> None:
        first = events[0]
        place = (first.attempt, self._keep_ms, self.keys.channel(first.run_id), first.seq)
        texts: tuple[Argument, ...] = (*record, *map(to_json, events))
        after = (head.chars, head.message, head.calls)
        _raise_refusal(await self._pipe.run(script, self._keys(first.run_id), (*place, *after, *texts)))

    async def compact(self, run_id: str) -> None:
        """Packs the events of a closed log into a fraction of the bytes. Reading it works as before.

        Safe to repeat, and safe to cancel: nothing changes until all events are packed. Reads and packs a page at a
        time. Raises LogLost when the log is not closed or not whole, ValueError when no release has written its bytes.
        """
        last, entries = 0, list[Argument]()
        while page := await self._numbered(run_id, last, PAGE):
            numbers, lines = zip(*page, strict=True)
            if numbers != (*range(last + 1, last + 1 + len(page)),):
                raise LogLost(run_id)
            for events, field, value in pack(lines):
                last += events
                entries += (last, field, value)
        _raise_refusal(await self._pipe.run(self._compact, self._keys(run_id), (0, self._keep_ms, last, *entries)))

    async def read(self, run_id: str, after: int, *, most: int = PAGE) -> list[Event]:
        """Events numbered above `after`, in order: `most` of them, or fewer when the log has no more (yet). An event
        that cannot be read leaves a hole in the numbers.

        The read covers the numbers of `most` events and a block. If more events than that are missing, the log seems to
        end there.
        """
        return self._parsed(run_id, await self._numbered(run_id, after, most))

    def _parsed(self, run_id: str, numbered: Iterable[tuple[int, bytes]]) -> list[Event]:
        named = ((f"{run_id} {number}", line) for number, line in numbered)
        return self._pipe.unreadables.readable("event", named, from_json)

    async def _numbered(self, run_id: str, after: int, most: int) -> list[tuple[int, bytes]]:
        """Events numbered above `after`, each as its number and its JSON; at most `most`.

        An entry has the number of its last event, so the last block that can hold a wanted event has a number of at
        most `after + most + BLOCK_EVENTS`. The read stops there and fetches no further block.
        """
        last = after + most + BLOCK_EVENTS
        reply = await self._pipe.command("XRANGE", self.keys.stream(run_id), f"(0-{after}", f"0-{last}", "COUNT", most)
        events = chain.from_iterable(self._lines(run_id, entry) for entry in _entries(reply))
        return list(islice(((number, line) for number, line in events if number > after), most))

    def _lines(self, run_id: str, entry: Entry) -> list[tuple[int, bytes]]:
        """The events of an entry, each as its number and its JSON; none when the entry cannot be read."""
        with self._pipe.unreadables.passed_over("event", f"{run_id} {entry[0]!r}"):
            return list(_numbered_lines(entry))
        return []

    async def pages(self, run_id: str, last: int) -> AsyncIterator[list[Event]]:
        """Events from the first one up to number `last`, or to the end of the log, a page at a time."""
        seq = 0
        while seq < last and (numbered := await self._numbered(run_id, seq, min(PAGE, last - seq))):
            yield self._parsed(run_id, numbered)
            seq = numbered[-1][0]

    async def last(self, run_id: str) -> Event | None:
        """The last event; None when the log has no events (yet)."""
        reply = await self._pipe.command("XREVRANGE", self.keys.stream(run_id), "+", "-", "COUNT", 1)
        lines = [line for entry in _entries(reply) for _, line in self._lines(run_id, entry)]
        with self._pipe.unreadables.passed_over("event", f"{run_id} last"):
            return from_json(lines[-1]) if lines else None
        return None

    async def head(self, run_id: str) -> Head:
        """Where the log stands now; `Head()` when there is no log."""
        names = ("seq", "chars", "message", "calls", "started", "terminal")
        reply = await self._pipe.command("HMGET", self.keys.head(run_id), *names)
        *numbers, end = (value if isinstance(value, bytes) else b"" for value in items(reply))
        with self._pipe.unreadables.raised("end", run_id):
            seq, chars, message, calls, started = (int(number or 0) for number in numbers)
        return Head(seq, chars, message, self._end(run_id, end), calls, started)

    async def text(self, run_id: str, head: Head) -> str:
        """The flat text up to `head`."""
        if head.chars == 0:
            return ""
        whole = WholeText()
        async for events in self.pages(run_id, head.seq):
            for event in events:
                whole.feed(event.data)
        return str(whole)

    async def first_text_ms(self, run_id: str) -> int:
        """When the log got its first assistant text, in ms since the epoch by this Redis's clock; 0 when it has
        none."""
        first = only(await self._pipe.command("HMGET", self.keys.head(run_id), "first"))
        with self._pipe.unreadables.passed_over("end", f"{run_id} first"):
            return int(first) if isinstance(first, bytes) else 0
        return 0

    async def end(self, run_id: str) -> End | None:
        """The terminal record; None while the log has none."""
        return self._end(run_id, only(await self._pipe.command("HMGET", self.keys.head(run_id), "terminal")))

    async def listeners(self, run_id: str) -> int:
        """How many connections subscribe to the run's channel now, as Redis counts them: one per API process."""
        answer = items(await self._pipe.command("PUBSUB", "NUMSUB", self.keys.channel(run_id)))
        count = answer[-1] if answer else 0
        return count if isinstance(count, int) else 0

    async def touch(self, run_ids: Sequence[str]) -> None:
        """Restarts the time to live of these logs, so that the log of a silent run does not expire."""
        keys = tuple(key for run_id in run_ids for key in self._keys(run_id))
        await self._pipe.run(self._touch, keys, (0, self._keep_ms))

    async def discard(self, run_id: str) -> None:
        """Deletes the log of a run."""
        await self._pipe.command("DEL", *self._keys(run_id))


def _raise_refusal(reply: Reply) -> None:
    """Returns when the script answered `ok`. Raises Closed, Fenced or LogLost otherwise."""
    match reply:
        case b"ok":
            return
        case b"closed":
            raise Closed
        case b"fenced":
            raise Fenced
        case b"lost":
            raise LogLost
        case _:
            raise unexpected(reply)


def _entries(reply: Reply) -> list[Entry]:
    return [entry for entry in items(reply) if isinstance(entry, tuple)]


def _numbered_lines(entry: Entry) -> Iterator[tuple[int, bytes]]:
    """The events of an entry, each as its number and its JSON."""
    id, fields = entry
    lines, last = unpack(fields), int(id.removeprefix(b"0-"))
    return zip(range(last - len(lines) + 1, last + 1), lines, strict=True)
