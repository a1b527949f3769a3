from __future__ import annotations

from itertools import pairwise

import pytest

from shared.ledger.ledger import Ledger
from shared.ledger.presence import Presence
from shared.ledger.tallies import Tallies, TallySpan, Window, bound_ms, quantile
from shared.redis.pipe import Pipe
from shared.run.run import End
from shared.run.states import State
from tests.broker import KEYS, Look
from tests.runs import a_run, claim_one, submit
from tests.shared.announcing import announcement


@pytest.fixture
def history(pipe: Pipe) -> Tallies:
    return Tallies(pipe, KEYS)


def total(spans: list[TallySpan], name: str) -> int:
    """The sum over all spans: a minute may end in the middle of a test."""
    return sum(getattr(span, name) for span in spans)


@pytest.mark.parametrize(("window", "number", "seconds"), [(Window.HOUR, 60, 60), (Window.DAY, 96, 900)])
async def test_the_spans_of_a_window_follow_each_other_to_now(
    history: Tallies, look: Look, window: Window, number: int, seconds: int
) -> None:
    spans = await history.spans(window)
    assert {later.at_ms - one.at_ms for one, later in pairwise(spans)} == {seconds * 1000}
    assert len(spans) == number
    now, _ = look.time()
    assert spans[-1].at_ms <= now * 1000 <= spans[-1].at_ms + 2 * seconds * 1000
    assert spans[0].wait_p50_ms is None


@pytest.mark.parametrize("window", Window)
async def test_runs_are_counted_when_they_are_accepted_and_when_they_end(
    history: Tallies, ledger: Ledger, window: Window
) -> None:
    ends = (State.COMPLETED, State.FAILED, State.FAILED, State.CANCELLED)
    for state in ends:
        await submit(ledger, run := a_run())
        await submit(ledger, run)  # repeats the request
        one = await claim_one(ledger)
        for _ in range(2):
            await ledger.settle(one, End(state=state))
    spans = await history.spans(window)
    assert [total(spans, name) for name in ("accepted", "completed", "failed", "cancelled")] == [4, 1, 2, 1]


async def test_a_wait_goes_into_its_class(history: Tallies, ledger: Ledger, look: Look) -> None:
    await submit(ledger, run := a_run())
    seconds, _ = look.time()
    look.hset(KEYS.run(run.run_id), "ready", str((seconds - 100) * 1000))
    await claim_one(ledger)
    ((wait_class, count),) = [pair for span in await history.spans(Window.HOUR) for pair in span.waits.items()]
    assert count == 1
    assert bound_ms(wait_class - 1) < 130_000
    assert bound_ms(wait_class) >= 100_000


async def test_who_takes_a_run_only_to_end_it_counts_no_wait(history: Tallies, ledger: Ledger, look: Look) -> None:
    await submit(ledger, run := a_run())
    look.hset(KEYS.run(run.run_id), "queued_until", "1")
    assert await ledger.take(run.run_id, "api", lease_ms=60_000)
    assert [span.waits for span in await history.spans(Window.HOUR) if span.waits] == []


async def test_workers_tell_what_was_said_and_how_much_runs(history: Tallies, ledger: Ledger, pipe: Pipe) -> None:
    presence = Presence(pipe, KEYS)
    for _ in range(3):
        await submit(ledger, a_run())
    one = await claim_one(ledger)
    await presence.announce(announcement("w1"), deltas=5)
    await ledger.settle(one, End(state=State.COMPLETED))
    await presence.announce(announcement("w2"), deltas=2)
    spans = await history.spans(Window.HOUR)
    assert total(spans, "deltas") == 7
    assert max(span.running for span in spans) == 1
    assert max(span.waiting for span in spans) == 2


async def test_what_was_counted_is_forgotten(ledger: Ledger, look: Look) -> None:
    await submit(ledger, a_run())
    tallies = [key.decode() for key in look.keys(KEYS.prefixes()["tally"] + "*")]
    assert sorted(key.split(":")[-2] for key in tallies) in (["minute", "quarter"],)
    assert all(3_600_000 < look.pttl(key) <= 26 * 3_600_000 for key in tallies)


def test_quantiles_are_read_between_the_bounds_of_a_class() -> None:
    assert quantile({}, 0.5) is None
    waits = {0: 50, 14: 49, 20: 1}  # 0 ms; up to 127 ms; up to 1023 ms
    assert quantile(waits, 0.5) == 0
    p95 = quantile(waits, 0.95)
    assert p95 is not None
    assert bound_ms(13) < p95 <= bound_ms(14) == 127
    assert quantile(waits, 1) == bound_ms(20) == 1023
