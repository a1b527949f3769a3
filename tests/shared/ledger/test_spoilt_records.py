"""Junk in the record of a run at work: no call for another run suffers from it, and no call for itself fails for
good. `test_waiting.py` has the same for runs that wait."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

import pytest

from shared.ledger.ledger import Claim, Ledger
from shared.ledger.operations import Operations
from shared.log.event_log import EventLog
from shared.redis.pipe import Pipe
from shared.run.errors import Unavailable, Unreadable
from shared.run.events import StopReason
from tests.broker import KEYS, Look, RealBroker, Valkey, looking, opened_client
from tests.e2e.process import ROOT
from tests.runs import DONE, LEASE_MS, a_run, claim, end_lane_check, running, submit

CALLED = re.compile(r"redis\.p?call\('([A-Z]+)'")
VALUES = ("", "junk", "nan", "1e400", "-1", "9" * 400, "{}")
FIELDS = (
    *("v", "state", "agent", "session", "owner", "bell", "spec", "keep", "patience", "attempt", "tries", "queued"),
    *("queued_until", "at", "ready", "place", "policy", "cancel", "token", "begun", "losses", "worker", "started"),
)
SPOILT: dict[str, Callable[[Look, str], object]] = {
    **{
        f"{field} = {value[:9]!r}": lambda look, key, field=field, value=value: look.hset(key, field, value)  # type: ignore[misc]
        for field in FIELDS
        for value in VALUES
    },
    **{f"no {field}": lambda look, key, field=field: look.hdel(key, field) for field in FIELDS},  # type: ignore[misc]
    "another type": lambda look, key: (look.delete(key), look.set(key, "x", px=99_999)),
    "no record": lambda look, key: look.delete(key),
}


SCRIPTS = [file.read_text() for file in (ROOT / "shared/ledger/scripts").glob("*.lua")]
COMMANDS = sorted({name.lower() for script in SCRIPTS for name in CALLED.findall(script)})


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
async def test_junk_in_one_record_is_no_matter_of_another(
    ledger: Ledger, pipe: Pipe, look: Look, spoil: Callable[[Look, str], object]
) -> None:
    spoilt, whole = await running(ledger, a_run("s")), await running(ledger)
    await submit(ledger, behind := a_run("s"))
    spoil(look, KEYS.run(spoilt.run.run_id))

    tokens = {spoilt.run.run_id: spoilt.token, whole.run.run_id: whole.token}
    renewed = await ledger.renew(tokens, lease_ms=LEASE_MS)
    assert renewed[whole.run.run_id].held
    assert renewed[whole.run.run_id].cancel is None
    assert look.zscore(KEYS.leases, whole.run.run_id)

    for call in (
        lambda: ledger.cancel(spoilt.run.run_id, StopReason.USER),
        lambda: ledger.record(spoilt.run.run_id),
        lambda: ledger.begin(spoilt),
        lambda: ledger.settle(spoilt, DONE),
        lambda: Operations(pipe, KEYS, EventLog(pipe, KEYS, retention_ms=1)).delete(spoilt.run.run_id, who="olga"),
        lambda: ledger.forfeit(tokens),
    ):
        try:
            await call()
        except Unreadable:
            continue

    look.delete(KEYS.prefixes()["lock"] + spoilt.run.run_id)
    look.zadd(KEYS.leases, {spoilt.run.run_id: 0})
    end_lane_check(look, behind.run_id)
    ended = await taken(ledger, behind.run_id)
    assert {whole.run.run_id, behind.run_id} <= ended  # `forfeit` has given the first one back


async def taken(ledger: Ledger, last: str) -> set[str]:
    """The runs that workers and janitors get, until the last one is among them. Each ends at once."""
    found = set[str]()
    for _ in range(6):
        claims: list[Claim] = await claim(ledger, "w2")
        for run_id in await ledger.overdue(lost_for_ms=0, most=9):
            claims += filter(None, [await ledger.take("w3", run_id, lease_ms=LEASE_MS)])
        for one in claims:
            found.add(one.run.run_id)
            await ledger.settle(one, DONE)
        if last in found:
            break
    return found


@pytest.mark.parametrize("command", COMMANDS)
async def test_what_the_server_refuses_spoils_no_record(own_valkey: Valkey, command: str) -> None:
    """An administrator takes one command away. Whatever a call did until then, all runs go on when it is back."""
    broker = RealBroker(own_valkey.url)
    with looking(broker) as look:
        async with opened_client(broker) as client:
            pipe = Pipe(client)
            ledger = Ledger(pipe, KEYS)
            waiting, behind = a_run("s"), a_run("s")
            held = await running(ledger)
            await submit(ledger, waiting)
            await submit(ledger, behind)
            look.execute_command("ACL", "SETUSER", "default", f"-{command}")
            for call in (
                lambda: claim(ledger),
                lambda: ledger.renew({held.run.run_id: held.token}, lease_ms=LEASE_MS),
                lambda: ledger.overdue(lost_for_ms=0, most=9),
                lambda: ledger.cancel(held.run.run_id, StopReason.USER),
                lambda: submit(ledger, a_run("s")),
            ):
                with suppress(Unavailable):
                    await call()
            look.execute_command("ACL", "SETUSER", "default", "+@all")
            for run in (held.run, waiting, behind):
                assert await ledger.record(run.run_id)
            assert (await ledger.renew({held.run.run_id: held.token}, lease_ms=LEASE_MS))[held.run.run_id].held
            look.hset(KEYS.prefixes()["watch"], "strays", "0")
            await ledger.overdue(lost_for_ms=0, most=9)
            for run_id in (waiting.run_id, behind.run_id):  # the first call may have claimed them
                look.delete(KEYS.prefixes()["lock"] + run_id)
                look.zadd(KEYS.leases, {run_id: 0}, xx=True)
                end_lane_check(look, run_id)
            assert {waiting.run_id, behind.run_id} <= await taken(ledger, behind.run_id)
            await pipe.aclose()
