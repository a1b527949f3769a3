"""`python -m bench`: the same work behind a ceiling, a naive service and runrelay, all on this machine.

Rounds are interleaved, so that what else the machine does falls on all of them alike; medians are told. Figures go to a
file as JSON, and as Markdown to the terminal.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench.alone import TRIALS
from bench.compared import CASES
from bench.figures import Figures, medians
from bench.load import allow_many_files, loaded, machine
from bench.report import page
from bench.services import CEILING, NAIVE, RUNRELAY, running
from bench.work import Work

TITLES = {**{case.name: case.title for case in CASES}, **{trial.name: trial.title for trial in TRIALS}}


async def compare(folder: Path, names: set[str], rounds: int, *, naive: bool) -> dict[str, dict[str, Figures]]:
    commands = {"ceiling": CEILING, "runrelay": RUNRELAY} | ({"naive": NAIVE} if naive else {})
    cases = [case for case in CASES if case.name in names]
    played: dict[str, dict[str, list[Figures]]] = {}
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(running(name, lines, folder / name))
            for name, lines in (commands.items() if cases else ())
        ]
        for service in services:
            await loaded(service, Work(5), clients=5)  # what is compiled and connected once is not measured
        for number in range(rounds):
            for case in cases:
                for service in services:
                    if service.name != "naive" or case.naive:
                        _tell(f"round {number + 1} of {rounds}: {case.title}: {service.name}")
                        by_service = played.setdefault(case.name, {})
                        by_service.setdefault(service.name, []).append(await case.play(service))
    return {case: {name: medians(those) for name, those in by.items()} for case, by in played.items()}


async def try_out(folder: Path, names: set[str]) -> dict[str, dict[str, Figures]]:
    results = {}
    for trial in TRIALS:
        if trial.name in names:
            _tell(trial.title)
            results[trial.name] = {"runrelay": await trial.play(folder / trial.name)}
    return results


async def bench(options: argparse.Namespace) -> None:
    with TemporaryDirectory(prefix="bench-") as folder:
        names = set(options.only.split(",")) if options.only else set(TITLES)
        results = await compare(Path(folder), names, options.rounds, naive=not options.no_naive)
        results |= await try_out(Path(folder), names)
    options.json.write_text(json.dumps({"machine": machine(), "rounds": options.rounds, "results": results}, indent=1))
    print(page(results, TITLES))


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help=f"only these, separated by commas; of {', '.join(TITLES)}")
    parser.add_argument("--no-naive", action="store_true", help="without the naive service, which takes longest")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where the figures go")
    options = parser.parse_args()
    allow_many_files()
    uvloop.run(bench(options))


if __name__ == "__main__":
    main()
