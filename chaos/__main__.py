"""`python -m chaos`: plays rounds of faults until clients have made so many runs. Exit code 1 when a promise broke."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from shutil import copytree, ignore_patterns
from tempfile import TemporaryDirectory

import uvloop

from chaos.checker import counted, violations
from chaos.clients import BEHAVIOURS
from chaos.faults import KINDS
from chaos.history import History
from chaos.report import Totals, rendered
from chaos.run_report import run_report
from chaos.suite import Round, play

ROUND = 2_000  # clients of one round
REPORTED_RUNS = 5  # of one round, each with all that is known of it


def main() -> None:
    options = _options()
    totals, left, seed, end = Totals(), options.runs, options.seed, time.monotonic() + options.seconds
    while left > 0 and time.monotonic() < end:
        with TemporaryDirectory(prefix="chaos-") as folder:
            size = min(left, options.round)
            round = Round(
                seed=seed,
                runs=size,
                folder=Path(folder),
                apis=options.apis,
                workers=options.workers,
                clients=options.clients,
                seconds=end - time.monotonic(),
                kinds=tuple(options.faults.split(",")) if options.faults is not None else KINDS,
                behaviours=tuple(options.only.split(",")) if options.only else (),
            )
            begun = time.monotonic()
            history = uvloop.run(play(round))
            totals.add(history, time.monotonic() - begun)
            _print_round(history, Path(folder), options.keep)
        left, seed = left - size, seed + 1
    print(rendered(totals))
    sys.exit(1 if totals.broken else 0)


def _print_round(history: History, folder: Path, keep: Path | None) -> None:
    found = violations(history)
    broken = {count: size for count, size in counted(found).items() if size}
    print(
        f"round of seed {history.seed}: {len(history.stored_runs)} runs, {len(history.faults)} faults: {broken or 'all kept'}"
    )
    for violation in found[: 10 * REPORTED_RUNS]:
        print(f"  {violation.count}: {violation.run_id} {violation.what}")
    for run_id in dict.fromkeys(violation.run_id for violation in found[:REPORTED_RUNS]):
        print(*run_report(history, run_id), sep="\n")
    if found and keep is not None:
        copytree(folder, keep / str(history.seed), ignore=ignore_patterns("appendonlydir"), dirs_exist_ok=True)
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="clients in all; some make several runs")
    parser.add_argument("--seed", type=int, default=1, help="of the first round; each round has the next one")
    parser.add_argument("--apis", type=int, default=2)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--clients", type=int, default=100, help="at once")
    parser.add_argument("--round", type=int, default=ROUND, help="clients of one round, on a service of its own")
    parser.add_argument("--seconds", type=float, default=7_200, help="no new client after that")
    parser.add_argument("--faults", help=f"only these, separated by commas; of {', '.join(KINDS)}; empty for none")
    parser.add_argument("--only", help=f"only such clients, separated by commas; of {', '.join(BEHAVIOURS)}")
    parser.add_argument("--keep", type=Path, help="a folder for the logs of rounds that broke a promise")
    return parser.parse_args()


if __name__ == "__main__":
    main()
