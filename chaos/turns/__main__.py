"""`python -m chaos.turns`: many sessions ask a CLI that misbehaves. Exit code 1 when a promise broke."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from chaos.turns.campaign import COUNTS, agents_toml, play
from tests.e2e.service import started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=8, help="conversations at a time")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="turns-") as name:
        agents = Path(name, "agents.toml")
        agents.write_text(agents_toml())
        settings = {"AGENTS_FILE": str(agents), "WORKER_CONCURRENCY": str(options.sessions)}
        begun = time.monotonic()
        with started(Path(name), settings=settings) as service:
            tally = anyio.run(
                lambda: play(service.url, turns=options.turns, sessions=options.sessions, seed=options.seed)
            )
    print(f"{tally.turns} turns in {time.monotonic() - begun:.0f} s, seed {options.seed}")
    print("kinds:", ", ".join(f"{kind} {count}" for kind, count in sorted(tally.kinds.items())))
    for count in COUNTS:
        print(f"{tally.broken[count]:6} {count}")
    for example in tally.examples[:20]:
        print(" ", example[:600])
    sys.exit(1 if tally.broken else 0)


if __name__ == "__main__":
    main()
