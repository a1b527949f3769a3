"""Each README in examples/ is true: its commands, run on a real service, give the answer that it promises."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from anyio import to_thread

from tests.e2e.process import ROOT, environment
from tests.e2e.service import started
from tests.worker.agents.upstream import chunk, stream, upstream

EXAMPLES = ROOT / "examples"
NAMES = sorted(folder.name for folder in EXAMPLES.iterdir() if folder.is_dir())
SERVER = "http://127.0.0.1:8000"
ALONE = [name for name in NAMES if name not in ("cli", "openai")]  # these two need a program or a server to answer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]


@dataclass(frozen=True)
class Example:
    """The contents of a README: the settings for the start, the command that sends a request, and the answer."""

    settings: Mapping[str, str]
    command: str
    answer: str

    @classmethod
    def of(cls, name: str) -> Example:
        text = (EXAMPLES / name / "README.md").read_text()
        start, command = text.partition("```sh\n")[2].partition("\n```")[0].splitlines()
        *settings, make, run = shlex.split(start)
        assert (make, run) == ("make", "run")
        assert SERVER in command
        answer = re.search(r"^The answer: `(.+?)`", text, re.MULTILINE)
        return cls(dict(setting.split("=", 1) for setting in settings), command, answer[1] if answer else "")

    def asked(self, folder: Path, **settings: str) -> str:
        """Starts the service, sends the request and returns the text of the answer. `settings` replace those of the
        README."""
        with started(folder, settings={**self.settings, **settings}) as service:
            command = self.command.replace(SERVER, service.url)
            done = subprocess.run(["/bin/sh", "-c", command], env=environment({}), capture_output=True, check=True)
        return str(json.loads(done.stdout)["choices"][0]["message"]["content"])


def test_there_is_one_for_each_kind_and_the_list_has_them_all() -> None:
    kinds = set()
    for name in NAMES:
        agents = tomllib.loads((EXAMPLES / name / "agents.toml").read_text())["agents"]
        kinds |= {agent["kind"] for agent in agents.values()}
        assert f"[{name}]({name}/)" in (EXAMPLES / "README.md").read_text()
    assert kinds == {"command", "python", "openai", "demo"}


@pytest.mark.parametrize("name", ALONE)
def test_it_answers_what_its_readme_says(name: str, tmp_path: Path) -> None:
    example = Example.of(name)
    assert example.answer
    assert example.answer in example.asked(tmp_path)


def test_the_cli_answers(tmp_path: Path) -> None:
    """A fake program prints the recorded output of the real CLI; `make test-agents` runs the real one."""
    recorded = ROOT / "tests/worker/agents/command/formats/fixtures/claude/hello.jsonl"
    program = tmp_path / "bin" / "claude"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec cat {shlex.quote(str(recorded))}\n")
    program.chmod(0o700)
    path = f"{program.parent}:{environment({})['PATH']}"
    assert Example.of("cli").asked(tmp_path, PATH=path) == "Hello from the model, said in several pieces."


async def test_the_model_answers(tmp_path: Path) -> None:
    """A fake model's server on this machine replaces the real one."""
    agents = (EXAMPLES / "openai" / "agents.toml").read_text()
    assert "https://api.openai.com/v1" in agents
    async with upstream(stream(chunk(content="Hello!"), chunk(finish="stop"))) as model:
        file = tmp_path / "agents.toml"
        file.write_text(agents.replace("https://api.openai.com/v1", model.url))
        settings = {"AGENTS_FILE": str(file), "OPENAI_API_KEY": "s3cret"}
        example = Example.of("openai")
        assert await to_thread.run_sync(lambda: example.asked(tmp_path, **settings)) == "Hello!"
    assert model.headers[0]["authorization"] == "Bearer s3cret"
    assert model.asked[0]["model"] == "gpt-5.4-mini"
