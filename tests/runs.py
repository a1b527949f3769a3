"""Runs for tests, and functions that let their time limits pass at once."""

from __future__ import annotations

from itertools import count

from shared.ledger.ledger import Accepted, Claim, Ledger, QueueLimits, RequestIdentity
from shared.run.run import End, Policy, Run
from shared.run.states import State
from tests.broker import KEYS, Look

LEASE_MS = 60_000  # longer than any test: a lease ends only when a test ends it
BOUNDS = QueueLimits(retention_ms=60_000, queue_timeout_ms=60_000, max_waiting=10_000, max_waiting_per_session=100)
ONCE = RequestIdentity(digest="digest")
ANYTHING = {"*": Policy()}
DONE = End(state=State.COMPLETED, text="Done.")

_numbers = count(1)


def a_run(session: str | None = None, **fields: object) -> Run:
    """A run with an id of its own, and with a session of its own unless the test names one."""
    number = next(_numbers)
    known: dict[str, object] = {
        "run_id": f"chatcmpl_{number}",
        "agent_id": "main",
        "session_key": session or f"agent:main:openai:{number}",
        "owner": "alice",
        "model": "main",
        "message": "Hi",
        "created_ms": 1_700_000_000_000,
    }
    return Run.model_validate(known | fields)


async def submit(
    ledger: Ledger, run: Run, *, once: RequestIdentity = ONCE, bounds: QueueLimits = BOUNDS, bell: str = "main"
) -> Accepted:
    return await ledger.submit(run, bell=bell, once=once, bounds=bounds)


async def claim(ledger: Ledger, owner: str = "w1", *, most: int = 10) -> list[Claim]:
    """Claims runs for a worker that serves any agent."""
    return await ledger.claim(owner, serves=ANYTHING, lease_ms=LEASE_MS, most=most)


async def claim_one(ledger: Ledger, owner: str = "w1") -> Claim:
    (claimed,) = await claim(ledger, owner, most=1)
    return claimed


async def running(ledger: Ledger, run: Run | None = None) -> Claim:
    """Submits and claims a run."""
    await submit(ledger, run or a_run())
    return await claim_one(ledger)


def end_lease(look: Look, run_id: str, *, at: int = 0) -> None:
    """Ends the run's lease, as if its owner had been silent since `at`."""
    look.delete(KEYS.prefixes()["lock"] + run_id)
    agent = (look.hget(KEYS.run(run_id), "agent") or b"").decode()
    for leases in (KEYS.leases, KEYS.prefixes()["leased"] + agent):
        look.zadd(leases, {run_id: at}, xx=True)


def end_patience(look: Look, run_id: str) -> None:
    """Ends the run's patience, as if it had waited for a worker for too long."""
    look.hset(KEYS.run(run_id), "queued_until", "1")
    look.zadd(KEYS.deadlines, {run_id: 1}, xx=True)


def end_lane_check(look: Look, run_id: str) -> None:
    """Makes the run's next lane check due now."""
    look.zadd(KEYS.checks, {run_id: 1}, xx=True)


def forget(look: Look, run_id: str) -> None:
    """Deletes the run's record, as if Redis had evicted it."""
    look.delete(KEYS.run(run_id))


def lane(look: Look, run: Run) -> list[str]:
    return [item.decode() for item in look.lrange(KEYS.prefixes()["lane"] + run.session_key, 0, -1)]


def members(look: Look, zset: str) -> list[str]:
    return [item.decode() for item in look.zrange(zset, 0, -1)]
