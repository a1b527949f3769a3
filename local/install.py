"""Make .venv and install one lock file into it: `python3 local/install.py requirements.lock`.

Run by the Makefile with the machine's own Python, before any package is there: only the standard library is
used, and nothing of this package is imported.

pip's output goes to a log. A failure is told in one line, because the reason seldom stands in pip's last one.
"""

import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

VENV = Path(".venv")
LOG = Path(".runrelay/install.log")

# The first row whose pattern is found in the log tells the reason, so a cause stands before its consequences:
# without a network pip also says that no version was found.
REASONS = (
    (
        r"ensurepip is not available|No module named (ensurepip|venv)",
        "this Python cannot make virtual environments (on Debian and Ubuntu: apt install python3-venv)",
    ),
    (r"No space left on device", "the disk is full"),
    (r"Permission denied|Read-only file system", "this folder is not writable"),
    (
        r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|broken",
        "the package index cannot be reached; check the network, or pip's settings behind a proxy",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        "a downloaded package is not the one that was locked; try again, and ask why if it stays so",
    ),
    (
        r"No matching distribution found for (?P<package>\S+)",
        "{package} has no ready-made wheel for this Python and machine, and nothing is compiled here; "
        "try another Python (make clean run PYTHON=...) or docker compose up",
    ),
)


def main(lock: str) -> None:
    LOG.parent.mkdir(mode=0o700, exist_ok=True)  # it will hold what was said to agents
    print(f"Installing {lock} into {VENV} ...", flush=True)
    began = time.monotonic()
    python = Path.cwd() / VENV / "bin" / "python"
    install = ["install", "--require-hashes", "--only-binary", ":all:", "--no-deps", "--requirement", lock]
    with LOG.open("w") as log:
        for command in (
            # Making it again is harmless and mends one left half made.
            [sys.executable, "-m", "venv", str(VENV)],
            # The lock is complete and hashed, so there is nothing to resolve and nothing to build.
            [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", *install],
        ):
            if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode != 0:
                sys.exit(f"runrelay: could not install {lock}: {reason(LOG.read_text())} (all of it: {LOG})")
    write_script(python.with_name("runrelay"), Path.cwd(), python)
    print(f"Installed in {time.monotonic() - began:.0f} s.", flush=True)


def write_script(script: Path, folder: Path, python: Path) -> None:
    """`runrelay`, to be called from anywhere: the project itself stays in its folder and is never installed."""
    home, interpreter = shlex.quote(str(folder)), shlex.quote(str(python))
    script.write_text(f'#!/bin/sh\nPYTHONPATH={home} exec {interpreter} -P -m cli "$@"\n')
    script.chmod(0o755)


def reason(log: str) -> str:
    """The row of REASONS that explains this log, else the log's last line."""
    for pattern, text in REASONS:
        if found := re.search(pattern, log):
            return text.format(**found.groupdict())
    lines = log.strip().splitlines()
    return lines[-1] if lines else "pip said nothing"


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except OSError as error:
        sys.exit(f"runrelay: {error}")
