"""The short form of the suite passes on the service, and fails on a broken one."""

from __future__ import annotations

from pathlib import Path

from chaos.checker import counted, violations
from chaos.clients import BEHAVIOURS
from chaos.faults import KINDS, impossible
from chaos.history import History
from chaos.run_report import run_report
from chaos.suite import Round, play
from tests.e2e.process import COMMANDS


def broken(history: History) -> dict[str, int]:
    """The counts that are not zero. Prints reports of the first runs, which pytest shows if the test fails."""
    found = violations(history)
    for violation in found[:5]:
        print(violation.count, violation.run_id, violation.what)
        print(*run_report(history, violation.run_id), sep="\n")
    return {count: size for count, size in counted(found).items() if size}


async def test_nothing_is_lost_nothing_doubled_nothing_left_hanging(tmp_path: Path) -> None:
    patient = tuple(name for name in BEHAVIOURS if name != "leaves for good")  # the service gives them up late
    history = await play(Round(seed=1, runs=150, folder=tmp_path, clients=30, once=True, behaviours=patient))
    assert broken(history) == {}
    assert len(history.stored_runs) >= 150
    assert {fault.kind for fault in history.faults} == set(KINDS) - set(impossible())


async def test_a_relay_without_gap_fill_is_caught(tmp_path: Path) -> None:
    history = await play(
        Round(
            seed=1,
            runs=30,
            folder=tmp_path,
            apis=1,
            workers=1,
            patience=5,
            quiet=0,
            recovery=0,
            kinds=("pubsub_killed",),
            behaviours=("streams",),
            commands={**COMMANDS, "web": "python -m tests.chaos.broken_api"},
        )
    )
    assert broken(history)["readers told a wrong end"]  # that the events are gone, which they are not


async def test_a_worker_without_a_fence_is_caught(tmp_path: Path) -> None:
    """Another worker takes over the runs of the paused one, and still has them when it wakes. A busy
    machine may be too slow for that: the next round shows it."""
    rounds = (
        Round(
            seed=seed,
            runs=80,
            clients=20,
            folder=tmp_path / str(seed),
            apis=1,
            workers=2,
            quiet=1,
            recovery=0,
            kinds=("worker_paused",),
            behaviours=("leaves and returns",),
            agents=("again",),
            settings={"LEASE_SECONDS": "1", "DRAIN_SECONDS": "1"},
            commands={**COMMANDS, "worker": "python -m tests.chaos.broken_worker"},
        )
        for seed in (1, 2, 3)
    )
    for round in rounds:
        round.folder.mkdir()
        if "logs with wrong text" in broken(await play(round)):
            return
    raise AssertionError("no round has a log with wrong text")


async def test_a_deaf_worker_is_caught(tmp_path: Path) -> None:
    """One of two stops claiming runs after a while. The other does all of them, so no client notices."""
    history = await play(
        Round(
            seed=1,
            runs=60,
            clients=20,
            folder=tmp_path,
            apis=1,
            workers=2,
            recovery=3,
            kinds=(),
            behaviours=("streams",),
            commands={**COMMANDS, "worker": "python -m tests.chaos.deaf_worker"},
        )
    )
    assert broken(history) == {"processes deaf while their health check said 200": 1}
