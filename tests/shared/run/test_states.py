from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from shared.ledger.ledger import Claim, Ledger
from shared.run.events import StopReason
from shared.run.run import End
from shared.run.states import ENDS, MOVES, State
from tests.broker import KEYS, Broker, looking
from tests.runs import LEASE_MS, claim, end_lease, end_patience, running, submit

Operation = Callable[[Ledger, Claim], Awaitable[object]]

# Every operation on a run, by an owner whose token the record has.
OPERATIONS: dict[str, Operation] = {
    "submit": lambda ledger, owned: submit(ledger, owned.run),
    "claim": lambda ledger, owned: claim(ledger, "w2"),
    "take": lambda ledger, owned: ledger.take(owned.run.run_id, "api", lease_ms=LEASE_MS),
    "begin": lambda ledger, owned: ledger.begin(owned),
    "renew": lambda ledger, owned: ledger.renew({owned.run.run_id: owned.token}, lease_ms=LEASE_MS),
    "release": lambda ledger, owned: ledger.release(owned.run.run_id, owned.token, spend=True),
    "complete": lambda ledger, owned: ledger.settle(owned, End(state=State.COMPLETED)),
    "fail": lambda ledger, owned: ledger.settle(owned, End(state=State.FAILED)),
    "cancel": lambda ledger, owned: ledger.settle(owned, End(state=State.CANCELLED)),
    "request a stop": lambda ledger, owned: ledger.cancel(owned.run.run_id, StopReason.USER),
}


def test_every_state_has_its_moves_and_ends_have_none() -> None:
    assert set(MOVES) == set(State)
    assert {state for state, targets in MOVES.items() if not targets} == ENDS


@pytest.mark.parametrize("state", list(State))
async def test_whatever_is_done_to_a_run_it_only_makes_the_moves_of_the_table(
    ledger: Ledger, broker: Broker, state: State
) -> None:
    """Each operation finds the run in every index that can hold a run: in the queue and among the leases, overdue in
    both."""
    reached = set()
    for operation in OPERATIONS.values():
        owned = await running(ledger)
        run_id = owned.run.run_id
        with looking(broker) as look:
            end_lease(look, run_id)
            look.zadd(KEYS.queue, {run_id: 1})
            end_patience(look, run_id)
            look.hset(KEYS.run(run_id), "state", state.value)
            await operation(ledger, owned)
            reached.add(State((look.hget(KEYS.run(run_id), "state") or b"").decode()))
            look.flushall()
    assert reached == MOVES[state] | {state}
