from __future__ import annotations

import re
from pathlib import Path

from cli.doctor.permissions import tried

ROOT = Path(__file__).parents[3]
OF_SCRIPTS = re.compile(r"redis\.p?call\('([A-Z]+)'")
OF_CALLS = re.compile(r"\.(?:command|refusal)\(\s*\"([A-Z]+)\"")
# redis-py's own: commands of its methods, and what it sends when it connects.
OTHERS = {"EVAL", "EVALSHA", "BLPOP"}


def test_the_doctor_tries_every_command_that_the_service_sends() -> None:
    scripts = [file.read_text() for file in ROOT.glob("shared/*/scripts/*.lua")]
    sources = [file.read_text() for room in ("shared", "api", "worker") for file in (ROOT / room).rglob("*.py")]
    sent = {name for text in scripts for name in OF_SCRIPTS.findall(text)}
    sent |= {name for text in sources for name in OF_CALLS.findall(text)} | OTHERS
    assert sent <= {name for name, _ in tried("key", "channel")}


def test_the_doctor_leaves_no_key_and_uses_no_key_of_the_service() -> None:
    commands = tried("own", "channel")
    (last, keys) = commands[-1]
    used = {str(arguments[0]) for _, arguments in commands if arguments and str(arguments[0]).startswith("own:")}
    assert last == "DEL"
    assert used == set(keys)
