"""Junk in the record of a run at work: no call for another run suffers from it, and no call for itself fails for
good. `test_waiting.py` has the same for runs that wait."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared.ledger.ledger import Claim, Ledger
from shared.ledger.operations import Operations
from shared.log.event_log import EventLog
from shared.redis.pipe import Pipe
from shared.run.errors import Unreadable
from shared.run.events import StopReason
from tests.broker import KEYS, Look
from tests.runs import DONE, LEASE_MS, a_run, claim, end_lane_check, running, submit

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
