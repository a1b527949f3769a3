"""Records the output of the real CLIs: `make record-agents`, optionally with `ARGS="claude codex"`.

The tests of the formats read these records (tests/worker/agents/command/formats/fixtures). The recorder replaces
machine paths, ids and addresses in them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from shared.run.errors import RunError
from tests.agents import clis
from tests.agents.clis import CLIS, Cli
from tests.agents.model import served_model
from worker.agents.command.cli_conversation import with_options
from worker.agents.command.command_config import CommandConfig
from worker.agents.command.formats.format import Object
from worker.agents.command.warm.driver_registry import DRIVERS

FIXTURES = Path(__file__).parents[1] / "worker/agents/command/formats/fixtures"
CASES = {
    "hello": clis.HELLO,
    "note": clis.NOTE,
    "thinking": clis.THINKING,
    "limit": clis.LIMIT,
    "refused-key": clis.REFUSED_KEY,
    "rate-limit": clis.RATE_LIMIT,
    "too-long": clis.TOO_LONG,
}
WARM = {
    "warm-conversation": [clis.HELLO, clis.BEFORE, clis.NOTE],
    "warm-thinking": [clis.THINKING],
    "warm-refused-key": [clis.REFUSED_KEY],
}  # the turns of one process
SECONDS = 100.0

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_NO_WORD = re.compile(r"[^A-Za-z0-9]")
_ID = re.compile(rf"{_UUID}|\b(?:msg|prt|ses|req|resp|chatcmpl)[_-][A-Za-z0-9_-]{{12,}}")


def main(names: list[str]) -> None:
    with served_model() as url:
        for cli in (CLIS[name] for name in names or CLIS):
            record(cli, url)


def record(cli: Cli, url: str) -> None:
    folder = FIXTURES / cli.name
    folder.mkdir(parents=True, exist_ok=True)
    config = CommandConfig.model_validate({"kind": "command", "preset": cli.name})
    command = config.command
    exits = {}
    for case, prompt in CASES.items():
        if prompt == clis.RATE_LIMIT and cli.waits_at_limits:
            continue
        printed, exits[case] = _run([*command, *cli.args], cli, prompt, url)
        (folder / f"{case}.jsonl").write_text(printed)
    if config.resume:
        goes_on = with_options([*command, *cli.args], config.resume, cli.never_had)
        printed, exits["gone"] = _run(list(goes_on), cli, clis.HELLO, url)
        (folder / "gone.jsonl").write_text(printed)
    about = {"version": _version(command[0]), "command": " ".join(command), "exits": exits, **_warm(cli, url)}
    (folder / "about.json").write_text(json.dumps(about, indent=2) + "\n")


def _run(command: list[str], cli: Cli, prompt: str, url: str) -> tuple[str, int]:
    """The output of a CLI and its exit code. Each run has a home of its own: some CLIs remember a failure."""
    with TemporaryDirectory() as folder:
        home, work = Path(folder, "home"), Path(folder, "work")
        home.mkdir()
        work.mkdir()
        done = subprocess.run(
            [_located(command[0]), *command[1:]],
            cwd=work,
            env=cli.settled(home, url),
            input=prompt,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    return _scrubbed(done.stdout, {str(home): "/home/user", str(work): "/work", url: "http://model"}), done.returncode


def _warm(cli: Cli, url: str) -> dict[str, str]:
    """Records the warm turns of a CLI that has them, and returns its warm command line."""
    if cli.name not in DRIVERS:
        return {}
    command = CommandConfig.model_validate({"kind": "command", "preset": cli.name, "warm": 1}).command
    for case, prompts in WARM.items():
        (FIXTURES / cli.name / f"{case}.jsonl").write_text(_conversation([*command, *cli.args], cli, prompts, url))
    return {"warm": " ".join(command)}


def _conversation(command: list[str], cli: Cli, prompts: list[str], url: str) -> str:
    printed: list[str] = []
    with TemporaryDirectory() as folder:
        home, work = Path(folder, "home"), Path(folder, "work")
        home.mkdir()
        work.mkdir()
        pipe = subprocess.PIPE
        with subprocess.Popen(
            [_located(command[0]), *command[1:]],
            cwd=work,
            env=cli.settled(home, url),
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stdin
            assert process.stdout
            driver = DRIVERS[cli.name].driver()
            _write(process.stdin, list(driver.opening()))
            for prompt in prompts:
                turn = driver.turn(prompt, work)
                with suppress(RunError):
                    while not turn.over:
                        _write(process.stdin, turn.outgoing)
                        printed.append(process.stdout.readline())
                        list(turn.read(json.loads(printed[-1])))
            process.stdin.close()
            process.stdout.read()
    return _scrubbed("".join(printed), {str(home): "/home/user", str(work): "/work", url: "http://model"})


def _write(stdin: IO[str], outgoing: list[Object]) -> None:
    stdin.writelines(json.dumps(one) + "\n" for one in outgoing)
    stdin.flush()
    outgoing.clear()


def _version(executable: str) -> str:
    with TemporaryDirectory() as home:
        environment = {"PATH": clis.PATH, "HOME": home}
        done = subprocess.run(
            [_located(executable), "--version"], env=environment, capture_output=True, text=True, check=True
        )
    found = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)  # pi prints it to stderr
    assert found, done.stdout
    return found[0]


def _located(executable: str) -> str:
    found = shutil.which(executable, path=clis.PATH)
    assert found, f"no {executable}; `make test-agents` installs it"
    return found


def _scrubbed(text: str, replaced: Mapping[str, str]) -> str:
    for old, new in replaced.items():
        text = text.replace(old, new).replace(old.lstrip("/"), new.lstrip("/"))
        text = text.replace(old.removeprefix("http://"), new.removeprefix("http://"))
        text = text.replace(_NO_WORD.sub("-", old), _NO_WORD.sub("-", new))  # a path as the name of a folder
    ids: dict[str, str] = {}
    return _ID.sub(lambda found: ids.setdefault(found[0], f"id-{len(ids) + 1}"), text)


if __name__ == "__main__":
    main(sys.argv[1:])
