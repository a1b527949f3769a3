"""`python -m bench`: equal work behind a ceiling, a naive service and runrelay, all on this machine.

It interleaves the rounds of the services, so that other work of the machine affects all of them alike, and prints
medians. It writes a whole benchmark to docs/performance.md, and a part of one to the terminal only.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench.alone import TRIALS
from bench.compared import CASES
from bench.figures import Figures, medians
from bench.growing import GROWTHS
from bench.load import allow_many_files, loaded
from bench.page import PAGE, publish, recorded
from bench.record import Record, machine, today
from bench.report import goals, tables
from bench.services import CEILING, NAIVE, RUNRELAY, running
from bench.work import Work

TITLES = {part.name: part.title for part in (*CASES, *TRIALS, *GROWTHS)}
NAIVE_ROUNDS = 2  # fewer: it takes longer than both others together, and its figures matter less

Progress = Callable[[str], None]


async def compare(
    folder: Path, names: set[str], rounds: int, naive_rounds: int, progress: Progress
) -> dict[str, dict[str, Figures]]:
    services = {"ceiling": CEILING, "runrelay": RUNRELAY} | ({"naive": NAIVE} if naive_rounds else {})
    cases = [case for case in CASES if case.name in names]
    played: dict[str, dict[str, list[Figures]]] = {}
    async with AsyncExitStack() as stack:
        started = [
            await stack.enter_async_context(running(name, commands, folder / name))
            for name, commands in (services.items() if cases else ())
        ]
        for service in started:
            await loaded(service, Work(5), clients=5)  # compiles and connects what is needed once: that is not measured
        for number in range(rounds):
            for case in cases:
                for service in started:
                    if service.name == "naive" and not (case.naive and number < naive_rounds):
                        continue
                    progress(f"round {number + 1} of {rounds}: {case.title}: {service.name}")
                    by_service = played.setdefault(case.name, {})
                    by_service.setdefault(service.name, []).append(await case.play(service))
    return {case: {name: medians(those) for name, those in by.items()} for case, by in played.items()}


async def measure(names: set[str], rounds: int, naive_rounds: int, progress: Progress) -> dict[str, dict[str, Figures]]:
    with TemporaryDirectory(prefix="bench-") as parent:
        folder = Path(parent)
        results = await compare(folder, names, rounds, naive_rounds, progress)
        for trial in TRIALS:
            if trial.name in names:
                progress(trial.title)
                results[trial.name] = {"runrelay": await trial.play(folder / trial.name)}
        for growth in GROWTHS:
            if growth.name in names:
                progress(growth.title)
                results[growth.name] = dict([step async for step in growth.play(folder / growth.name)])
    return results


async def take(names: set[str], rounds: int, naive_rounds: int) -> Record:
    busy, begun = os.getloadavg()[0], time.monotonic()

    def progress(what: str) -> None:
        print(f"{time.monotonic() - begun:4.0f} s  {what}", file=sys.stderr, flush=True)

    results = await measure(names, rounds, naive_rounds, progress)
    return Record(today(), machine(), busy, time.monotonic() - begun, rounds, results)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help=f"only these, separated by commas; of {', '.join(TITLES)}")
    parser.add_argument("--no-naive", action="store_true", help="without the naive service")
    parser.add_argument("--again", action="store_true", help="write the page again from the figures beside it")
    options = parser.parse_args()
    if options.again:
        publish(recorded(), TITLES)
        return
    names = set(options.only.split(",")) if options.only else set(TITLES)
    if unknown := names - set(TITLES):
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}, but {', '.join(TITLES)}")
    allow_many_files()
    record = uvloop.run(take(names, options.rounds, 0 if options.no_naive else NAIVE_ROUNDS))
    print(f"{goals(record.results, TITLES)}\n\n{tables(record.results, TITLES)}")
    if names == set(TITLES) and not options.no_naive:
        publish(record, TITLES)
        print(f"\nWritten to {PAGE.name}.")


if __name__ == "__main__":
    main()
