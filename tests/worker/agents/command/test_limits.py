from __future__ import annotations

import json
import resource
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.run.errors import ErrorCode, RunError
from tests.worker.agents.asking import PATH, answer, asked, command_agent, said
from worker.agents.command.command_agent import CommandAgent
from worker.agents.command.limits import Limits
from worker.agents.command.process_family import MARK

pytestmark = pytest.mark.slow

NAMES = ["RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_NPROC"]
TOLD = f"import json, resource; print(json.dumps([resource.getrlimit(getattr(resource, name)) for name in {NAMES}]))"


def limited(source: str, **limits: object) -> CommandAgent:
    return command_agent(sys.executable, "-c", source, limits=limits)


async def failure(agent: CommandAgent) -> RunError:
    with pytest.raises(RunError) as failed:
        await said(agent)
    assert failed.value.code is ErrorCode.AGENT_FAILED
    return failed.value


# --- what is set ------------------------------------------------------------------------------------------------------

ALL: Mapping[str, int] = {"cpu_seconds": 50, "memory_mb": 700, "file_mb": 3, "open_files": 99, "processes": 4000}


@pytest.mark.parametrize("source", [TOLD, f"import os, sys; os.execv(sys.executable, ['python', '-c', {TOLD!r}])"])
async def test_a_command_is_limited_from_its_start(source: str) -> None:
    mb = 1 << 20
    limits = [[50, 51], [700 * mb, 700 * mb], [3 * mb, 3 * mb], [99, 99], [4000, 4000]]
    assert json.loads(await answer(limited(source, **ALL))) == limits


async def test_what_it_starts_is_limited_as_well() -> None:
    source = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {TOLD!r}])"
    assert json.loads(await answer(limited(source, open_files=99)))[3] == [99, 99]


async def test_what_is_not_limited_is_as_it_is_for_the_worker() -> None:
    own = [list(resource.getrlimit(getattr(resource, name))) for name in NAMES]
    assert json.loads(await answer(limited(TOLD))) == own
    assert json.loads(await answer(limited(TOLD, open_files=99))) == [*own[:3], [99, 99], own[4]]


async def test_more_than_the_worker_may_use_is_what_the_worker_may_use() -> None:
    """Only root can raise a limit, and a configured limit must never allow more than the worker's own."""
    own = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert json.loads(await answer(limited(TOLD, open_files=1_000_000)))[3] == [min(own, 1_000_000)] * 2


# --- what a limit does not change -------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", ["-n", "$(id) `id` $HOME", "a\nb 'c' \"d\" *", "; exit 3", "\x01\x7f\u2028ä\\"])
async def test_a_message_as_argument_is_still_data(message: str) -> None:
    agent = command_agent("printf", "%s|", "--", input="argument", limits=ALL)
    assert await answer(agent, asked(message)) == f"--|{message}|"


async def test_a_limited_command_gets_no_more_environment_than_any_other() -> None:
    lines = (await answer(command_agent("env", environment=PATH, limits=ALL))).splitlines()
    names = {line.partition("=")[0] for line in lines}
    assert names - {"_"} == {"PATH", MARK, "RUNRELAY_RUN_ID", "RUNRELAY_SESSION_KEY", "RUNRELAY_AGENT_ID"}


async def test_its_exit_code_and_its_signals_are_its_own() -> None:
    assert (await failure(limited("raise SystemExit(3)", **ALL))).message == "The agent exited with code 3."
    killed = await failure(limited("import os; os.kill(os.getpid(), 9)", **ALL))
    assert killed.message == "The agent was killed by SIGKILL."


def test_without_limits_there_is_no_shell() -> None:
    assert Limits().around(["agent", "-p"]) == ("agent", "-p")


# --- at the limit -----------------------------------------------------------------------------------------------------

BURN = "while True: pass"


async def test_too_much_cpu_time_fails_the_run() -> None:
    failed = await failure(limited(BURN, cpu_seconds=1))
    assert failed.message == "The agent used more than 1 s of CPU time."


async def test_an_answer_that_the_limit_has_cut_off_is_not_called_a_broken_format() -> None:
    source = f'import os; os.write(1, b\'{{"delta": "Hi\')\n{BURN}'
    agent = command_agent(sys.executable, "-c", source, output="jsonl", limits={"cpu_seconds": 1})
    assert (await failure(agent)).message == "The agent used more than 1 s of CPU time."


async def test_a_command_that_catches_the_warning_is_killed() -> None:
    source = f"import signal; signal.signal(signal.SIGXCPU, lambda *_: print('warned', flush=True))\n{BURN}"
    failed = await failure(limited(source, cpu_seconds=1))
    assert failed.message == "The agent was killed by SIGKILL."
    assert failed.detail == "limits: cpu_seconds = 1"


async def test_a_shell_that_waited_for_what_was_ended_counts_as_ended() -> None:
    agent = command_agent("sh", "-c", f"'{sys.executable}' -c '{BURN}'; exit $?", limits={"cpu_seconds": 1})
    assert (await failure(agent)).message == "The agent used more than 1 s of CPU time."


async def test_too_large_a_file_fails_the_run(tmp_path: Path) -> None:
    command = ["dd", "if=/dev/zero", f"of={tmp_path / 'large'}", "bs=1048576", "count=2"]
    failed = await failure(command_agent(*command, limits={"file_mb": 1}))
    assert failed.message == "The agent wrote a file of more than 1 MB."


@pytest.mark.parametrize(
    ("limits", "source", "expected"),
    [
        ({"memory_mb": 100}, "x = bytearray(200 << 20)", "MemoryError"),
        ({"open_files": 20}, "files = [open('/dev/null') for _ in range(20)]", "Too many open files"),
        ({"file_mb": 1}, "import tempfile as t; t.TemporaryFile().write(bytes(2 << 20))", "File too large"),
    ],
)
async def test_a_limit_that_is_an_error_of_the_program_stands_beside_its_words(
    limits: Mapping[str, int], source: str, expected: str
) -> None:
    failed = await failure(limited(source, **limits))
    assert failed.message == "The agent exited with code 1."
    assert expected in failed.detail
    ((name, value),) = limits.items()
    assert failed.detail.endswith(f"\nlimits: {name} = {value}")


async def test_memory_that_is_only_reserved_is_free() -> None:
    """The runtimes of JavaScript and other languages reserve gigabytes that they never use."""
    source = "import mmap; mmap.mmap(-1, 8 << 30, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE); print('fine')"
    assert await answer(limited(source, memory_mb=100)) == "fine\n"


# --- what can be written ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"cpu_secs": 1}, "cpu_secs: unknown limit; did you mean cpu_seconds?"),
        ({"x": 1}, "x: unknown limit; known are cpu_seconds, memory_mb, file_mb, open_files, processes"),
        ({"cpu_seconds": 0}, "greater than or equal to 1"),
        ({"cpu_seconds": 1.5}, "valid integer"),
        ({"memory_mb": "1"}, "valid integer"),
        ({"processes": True}, "valid integer"),
        ({"open_files": 3}, "greater than or equal to 16"),
        ({"file_mb": 10**7}, "less than or equal to 1000000"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(written: dict[str, object], expected: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        Limits.model_validate(written)
    assert expected in wrong.value.errors()[0]["msg"]
