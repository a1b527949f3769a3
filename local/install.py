"""Creates .venv and installs one lock file into it: `python3 local/install.py requirements.lock`.

The Makefile runs it with the machine's own Python before any package is installed, so it uses the standard library
only and imports nothing of this package. pip's output goes to a log; the user gets one line of it.
"""

import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

VENV = Path(".venv")
LOG = Path(".runrelay/install.log")

# Where the last error in the log would mislead, or leave the user without a remedy. The first match counts: without a
# network pip also reports that no version was found.
REMEDIES = {
    r"ensurepip is not\s+available|No module named '?(ensurepip|venv)": (
        "this Python cannot make virtual environments (on Debian and Ubuntu: apt install python3-venv)"
    ),
    "NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|broken": (
        "the package index cannot be reached; check the network, or pip's settings behind a proxy"
    ),
    "No matching distribution found": (
        "{error}, as a ready-made wheel for this Python and machine, and nothing is compiled here; "
        "try another Python (make clean run PYTHON=...) or docker compose up"
    ),
}


def main(lock: str) -> None:
    LOG.parent.mkdir(mode=0o700, exist_ok=True)  # the service will keep conversations in this folder
    print(f"Installing {lock} into {VENV} ...", flush=True)
    began = time.monotonic()
    python = Path.cwd() / VENV / "bin" / "python"
    # The lock is complete and hashed, so pip has nothing to resolve and nothing to build.
    install = ["install", "--require-hashes", "--only-binary", ":all:", "--no-deps", "--requirement", lock]
    with LOG.open("w") as log:
        for command in (
            [sys.executable, "-m", "venv", str(VENV)],  # also completes one that was left half made
            [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", *install],
        ):
            if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode != 0:
                sys.exit(f"runrelay: could not install {lock}: {reason(LOG.read_text())} (all of it: {LOG})")
    write_script(python.with_name("runrelay"), Path.cwd(), python)
    print(f"Installed in {time.monotonic() - began:.0f} s.", flush=True)


def write_script(script: Path, folder: Path, python: Path) -> None:
    """Writes the command `runrelay`, which works from any folder: the project stays in its own, never installed."""
    home, interpreter = shlex.quote(str(folder)), shlex.quote(str(python))
    script.write_text(f'#!/bin/sh\nPYTHONPATH={home} exec {interpreter} -P -m cli "$@"\n')
    script.chmod(0o755)


def reason(log: str) -> str:
    """One line: why venv or pip failed."""
    errors: list[str] = re.findall(r"(?i)error: (.+)", log) or ["no error was reported"]
    for pattern, remedy in REMEDIES.items():
        if re.search(pattern, log):
            return remedy.format(error=errors[-1])
    return errors[-1]


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except OSError as error:
        sys.exit(f"runrelay: {error}")
