from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from shared.ledger.audit import Audit
from shared.ledger.ledger import Ledger
from shared.ledger.operations import Operations
from shared.ledger.presence import Presence
from shared.ledger.run_index import RunIndex
from shared.ledger.tallies import Tallies, Window
from shared.log.event_log import EventLog
from shared.redis.pipe import Pipe
from shared.redis.unreadable import REMEMBERED, Unreadables
from shared.run.errors import Unreadable
from shared.run.events import Completed, Delta, to_json
from shared.run.run import End
from shared.run.states import State
from tests.broker import KEYS, Look
from tests.events import head_after, said
from tests.runs import a_run, claim, claim_one, submit

JUNK = (
    b"",
    b"junk",
    b"{}",
    b"[1]",
    b"\xff\xfe",
    b'{"v": 1',
    b'{"v": ' + b"9" * 5_000 + b"}",
    b"[" * 5_000,
    b'{"a":' * 300 + b"1" + b"}" * 300,
    b"1 junk",
    b"9" * 5_000 + b" {}",
)

junk = pytest.mark.parametrize("junk", JUNK, ids=lambda one: repr(one[:12]))


class Counts:
    def __init__(self) -> None:
        self.kinds: list[str] = []

    def unreadable(self, kind: str) -> None:
        self.kinds.append(kind)


@pytest.mark.parametrize("why", [ValueError(), KeyError(), TypeError(), RecursionError(), OverflowError()])
def test_what_is_passed_over_is_told_once(why: Exception) -> None:
    counts = Counts()
    walls = Unreadables(counts)
    with capture_logs() as lines:
        for _ in range(3):
            with walls.passed_over("run", "r1"):
                raise why
    assert counts.kinds == ["run"]
    assert [(line["event"], line["kind"], line["name"]) for line in lines] == [("redis.unreadable", "run", "r1")]


def test_what_is_remembered_is_bounded() -> None:
    counts = Counts()
    walls = Unreadables(counts)
    for number in (*range(REMEMBERED + 1), 0):
        with pytest.raises(Unreadable), walls.raised("event", str(number)):
            raise ValueError
    assert len(counts.kinds) == REMEMBERED + 2


def test_what_is_no_error_of_a_parser_flies_on() -> None:
    with pytest.raises(ConnectionError), Unreadables(Counts()).passed_over("run", "r1"):
        raise ConnectionError


# --- every kind of thing that is read from Redis ----------------------------------------------------------------------


@junk
async def test_a_run_whose_request_cannot_be_read_is_claimed_to_be_ended(
    ledger: Ledger, pipe: Pipe, look: Look, junk: bytes
) -> None:
    spoilt, other = a_run(), a_run()
    await submit(ledger, spoilt)
    await submit(ledger, other)
    look.hset(KEYS.run(spoilt.run_id), "spec", junk)
    claims = {one.run.run_id: one for one in await claim(ledger)}
    assert (claims[spoilt.run_id].readable, claims[other.run_id].readable) == (False, True)
    assert claims[spoilt.run_id].run.session_key == spoilt.session_key
    with pytest.raises(Unreadable):
        await ledger.record(spoilt.run_id)
    assert await ledger.settle(claims[spoilt.run_id], End(state=State.FAILED))


@junk
async def test_an_event_that_cannot_be_read_hides_no_other(log: EventLog, look: Look, junk: bytes) -> None:
    run = a_run()
    events = said(Delta(delta="a"), Delta(delta="b"), Completed(), run_id=run.run_id)
    for number, line in enumerate((to_json(events[0]), junk, to_json(events[2])), 1):
        look.execute_command("XADD", KEYS.stream(run.run_id), f"0-{number}", "e", line)  # type: ignore[arg-type]
    look.pexpire(KEYS.stream(run.run_id), 60_000)
    assert await log.read(run.run_id, 0) == [events[0], events[2]]
    assert [event async for page in log.pages(run.run_id, 3) for event in page] == [events[0], events[2]]
    assert await log.text(run.run_id, head_after(events)) == "a"


@junk
async def test_an_end_that_cannot_be_read_is_none(log: EventLog, look: Look, junk: bytes) -> None:
    run = a_run()
    await log.fence(run.run_id, 1)
    look.hset(KEYS.head(run.run_id), "terminal", junk or b"-")
    for read in (log.end(run.run_id), log.head(run.run_id), log.fence(run.run_id, 2)):
        with pytest.raises(Unreadable):
            await read


@junk
async def test_a_turn_that_cannot_be_read_is_left_out(ledger: Ledger, look: Look, junk: bytes) -> None:
    look.rpush(KEYS.transcript("s"), junk, '{"role": "user", "content": "Hi"}')
    look.set(KEYS.conversation("s"), junk, px=60_000)
    look.pexpire(KEYS.transcript("s"), 60_000)
    turns = await ledger.transcript("s")
    assert [turn.content for turn in turns] == ["Hi"]
    assert await ledger.take_conversation("s", turns) is None


@junk
async def test_entries_of_lists_that_cannot_be_read_are_left_out(
    ledger: Ledger, pipe: Pipe, look: Look, junk: bytes
) -> None:
    names, audit = KEYS.prefixes(), Audit(pipe, KEYS)
    for name in ("workers", "webs"):
        look.hset(names[name], "somebody", junk)
        look.pexpire(names[name], 60_000)
    look.rpush(names["audit"], junk, '1 {"who": "olga", "act": "queue.pause", "target": "*"}')
    look.pexpire(names["audit"], 60_000)
    look.hset(names["paused"], "main", junk)
    await submit(ledger, run := a_run())
    look.hset(KEYS.run(run.run_id), "tries", junk or b"-")
    assert await Presence(pipe, KEYS).workers() == []
    assert await Presence(pipe, KEYS).webs() == []
    assert len(await audit.latest(9)) == 1
    paused = await Operations(pipe, KEYS, EventLog(pipe, KEYS, retention_ms=1)).paused()
    assert [pause.who for pause in paused.values()] == (["junk"] if junk == b"1 junk" else [])
    assert await RunIndex(pipe, KEYS).rows([run.run_id, "no run"]) == []
    assert await Tallies(pipe, KEYS).spans(Window.HOUR) != []


async def test_a_key_of_another_type_fails_its_run_or_session_only(ledger: Ledger, log: EventLog, look: Look) -> None:
    spoilt, other = a_run(), a_run()
    await submit(ledger, spoilt)
    await submit(ledger, other)
    for key in (KEYS.run(spoilt.run_id), KEYS.stream(spoilt.run_id), KEYS.head(spoilt.run_id), KEYS.transcript("s")):
        look.delete(key)
        look.set(key, "junk", px=60_000)
    for read in (log.read(spoilt.run_id, 0), log.head(spoilt.run_id), log.fence(spoilt.run_id, 1)):
        with pytest.raises(Unreadable):
            await read
    with pytest.raises(Unreadable):
        await ledger.record(spoilt.run_id)
    assert await ledger.transcript("s") == ()
    assert (await claim_one(ledger)).run == other
