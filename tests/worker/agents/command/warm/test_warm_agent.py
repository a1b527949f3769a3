from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import anyio
import psutil
import pytest

from shared.run.errors import ErrorCode, RunError
from shared.run.events import Delta
from shared.run.run import Turn
from tests.worker.agents.asking import PATH, answer, gone, until
from tests.worker.agents.command.warm.warm_sessions import Session, opened, processes, started_ahead
from worker.agents.command.command_agent import CommandAgent
from worker.agents.command.command_config import CommandConfig
from worker.agents.command.warm.warm_agent import open_warm
from worker.agents.command.workdir import folder_name

pytestmark = pytest.mark.slow

# --- a process and its session ----------------------------------------------------------------------------------------


async def test_the_next_turn_of_a_session_is_told_to_the_same_process(tmp_path: Path) -> None:
    """It gets only the new message: it knows the others."""
    async with opened(tmp_path) as agent:
        ann = Session(agent)
        first, second = await ann.ask("One"), await ann.ask("Two")
        assert first.pid == second.pid
        assert second.prompts == ["One", "Two"]


async def test_sessions_share_no_process_and_no_directory(tmp_path: Path) -> None:
    async with opened(tmp_path, ready=2) as agent:
        sessions = [Session(agent, key) for key in ("a", "b", "c")]
        first = [await session.ask(session.key) for session in sessions]
        second = [await session.ask(session.key) for session in sessions]
        assert len({knows.pid for knows in first}) == 3
        assert len({knows.folder for knows in first}) == 3
        assert [knows.pid for knows in second] == [knows.pid for knows in first]
        assert [knows.prompts for knows in second] == [["a", "a"], ["b", "b"], ["c", "c"]]


async def test_agents_share_no_process(tmp_path: Path) -> None:
    """One table may serve any id, and different agents may use equal session keys."""
    async with opened(tmp_path) as agent:
        other = Session(agent).input().model_copy(update={"agent_id": "other"})
        mine, others = await answer(agent, Session(agent).input()), await answer(agent, other)
        assert mine != others


async def test_without_a_session_to_come_back_to_the_process_ends_with_the_run(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        knows = await Session(agent, named_session=False).ask()
        assert gone(knows.pid)


async def test_many_at_once(tmp_path: Path) -> None:
    pids: list[int] = []

    async def ask(number: int) -> None:
        knows = await Session(agent, f"session {number}").ask(f"message {number}")
        assert knows.prompts == [f"message {number}"]
        pids.append(knows.pid)

    async with opened(tmp_path, ready=2, kept=3) as agent:
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(ask, number)
        assert len(set(pids)) == 8
        await until(lambda: len(processes()) == 5)


async def test_no_variable_names_a_run_or_a_session(tmp_path: Path) -> None:
    """They could name only the first run of the process."""
    async with opened(tmp_path) as agent:
        knows = await Session(agent).ask()
        assert {name for name in knows.variables if name.startswith("RUNRELAY_")} == {"RUNRELAY_PROCESS"}


# --- a process that does not know what the session does ---------------------------------------------------------------


async def test_a_turn_that_the_process_has_missed(tmp_path: Path) -> None:
    """Another worker may have done that turn. The next process gets the whole conversation."""
    async with opened(tmp_path) as agent:
        ann = Session(agent)
        first = await ann.ask("One")
        ann.history += [Turn(role="user", content="Elsewhere"), Turn(role="assistant", content="Done.")]
        second = await ann.ask("Two")
        assert gone(first.pid)
        assert len(second.prompts) == 1
        assert "User: Elsewhere\n\nAssistant: Done." in second.prompts[0]


async def test_a_turn_that_was_not_remembered(tmp_path: Path) -> None:
    """A client may have cancelled the run after the CLI had finished."""
    async with opened(tmp_path) as agent:
        ann = Session(agent)
        await ann.ask("One")
        await ann.ask("Two")
        del ann.history[-2:]
        assert "Two" not in "".join((await ann.ask("Three")).prompts)


async def test_a_session_that_was_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        ann = Session(agent)
        await ann.ask("One")
        ann.history.clear()
        assert (await ann.ask("Two")).prompts == ["Two"]


async def test_another_system_prompt(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        ann = Session(agent, system="Be kind.")
        first, second = await ann.ask(), await ann.ask()
        ann.system = "Be brief."
        third = await ann.ask()
        assert first.pid == second.pid != third.pid
        assert third.prompts[0].startswith("[System]\nBe brief.\n\n[Conversation so far]\n")


# --- the end of a process ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "message"), [("fail", "No credit."), ("exit", "The agent exited with code 3.")])
async def test_a_failed_turn_ends_the_process(tmp_path: Path, word: str, message: str) -> None:
    async with opened(tmp_path) as agent:
        ann = Session(agent)
        first = await ann.ask()
        with pytest.raises(RunError) as failed:
            await ann.ask(word)
        assert (failed.value.code, failed.value.message) == (ErrorCode.AGENT_FAILED, message)
        assert gone(first.pid)
        second = await ann.ask("Again")
        assert second.prompts[0].endswith("[Current message]\nAgain")


async def test_a_stopped_turn_ends_the_process(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        ann = Session(agent)
        first = await ann.ask()
        async with aclosing(agent.run(ann.input("hang"))) as outputs:
            assert await anext(outputs) == Delta(delta=str(first.pid))
        assert gone(first.pid)


def directories(folder: Path) -> list[Path]:
    return [one for one in folder.iterdir() if not one.is_symlink()]


async def test_closing_leaves_no_process_and_no_directory_without_a_session(tmp_path: Path) -> None:
    async with opened(tmp_path, ready=2) as agent:
        await until(lambda: len(processes()) == 2)
        await Session(agent).ask("write")
        await until(lambda: len(processes()) == 3)
    assert processes() == set()
    assert len(directories(tmp_path)) == 1


async def test_what_is_raised_while_it_is_open_is_raised(tmp_path: Path) -> None:
    """It is raised unchanged, because the worker catches errors by their class."""
    with pytest.raises(ZeroDivisionError):
        async with opened(tmp_path, ready=1):
            raise ZeroDivisionError


# --- started ahead ----------------------------------------------------------------------------------------------------


async def test_its_directory_becomes_the_sessions(tmp_path: Path) -> None:
    async with opened(tmp_path, ready=1) as agent:
        await started_ahead(agent)
        ann = Session(agent)
        knows = await ann.ask("write")
        folder = tmp_path / folder_name(ann.key)
        assert (folder / "note.txt").read_text() == "from the agent"
        assert knows.folder.resolve() == folder == (await ann.ask()).folder.resolve()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert not folder.is_symlink()


async def test_a_session_that_has_a_directory_works_in_it(tmp_path: Path) -> None:
    """No process can move there. So the agent starts one for the session; the ready ones are for other sessions."""
    folder = tmp_path / folder_name(Session.key)
    folder.mkdir()
    (folder / "mine").touch()
    async with opened(tmp_path, ready=1) as agent:
        ready = await started_ahead(agent)
        knows = await Session(agent).ask()
        assert (knows.folder / "mine").exists()
        assert {knows.pid} | ready == processes()


async def test_in_a_fixed_directory_any_process_will_do(tmp_path: Path) -> None:
    async with opened(tmp_path / "work", workdir=str(tmp_path), ready=1) as agent:
        [ready] = await started_ahead(agent)
        knows = await Session(agent).ask()
        assert (knows.pid, knows.folder) == (ready, tmp_path)
    assert not (tmp_path / "work").exists()


# --- the end of the worker --------------------------------------------------------------------------------------------

WORKER = """
import sys
from contextlib import suppress
from pathlib import Path
import anyio
from tests.worker.agents.asking import until
from tests.worker.agents.command.warm.warm_sessions import Session, opened
from worker.agents.command.orphans import worker_mark
from worker.guardian import with_guardian

async def main():
    with with_guardian(worker_mark()):
        async with opened(Path(sys.argv[1]), ready=1) as agent:
            await Session(agent).ask("spawn")
            await until(lambda: agent.pool.ready)
            print("ready", flush=True)
            await anyio.sleep_forever()

with suppress(KeyboardInterrupt):
    anyio.run(main)
"""


@contextmanager
def started_worker(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", WORKER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stdout
            assert worker.stdout.readline() == "ready\n"
            yield worker
        finally:
            worker.kill()


async def test_a_killed_worker_leaves_none(tmp_path: Path) -> None:
    """No ready process is left, no kept one, and none that they started."""
    with started_worker(tmp_path) as worker:
        children = psutil.Process(worker.pid).children(recursive=True)
        assert len(children) == 4  # the guardian, two processes of the CLI, and one that the CLI has started
    await until(lambda: gone(*(child.pid for child in children)))


async def test_a_worker_that_is_told_to_stop_leaves_none(tmp_path: Path) -> None:
    with started_worker(tmp_path) as worker:
        children = psutil.Process(worker.pid).children(recursive=True)
        worker.send_signal(signal.SIGINT)
        worker.wait()
        assert gone(*(child.pid for child in children))


REFUSES_THE_SECOND = """
import json, os, sys
def say(**line): print(json.dumps(line), flush=True)
turns = 0
for line in sys.stdin:
    command = json.loads(line)
    if command["type"] == "prompt":
        turns += 1
        say(type="response", command="prompt", success=turns == 1, error="Agent is already processing")
        if turns == 1:
            say(type="agent_start")
            say(type="message_start", message={"role": "assistant"})
            content = [{"type": "text", "text": str(os.getpid())}]
            say(type="message_end", message={"role": "assistant", "content": content, "stopReason": "stop"})
            say(type="agent_end")
    else:
        say(type="response", command="get_state", success=True, data={"isStreaming": False})
"""


async def test_a_kept_process_that_refuses_the_prompt_is_replaced(tmp_path: Path) -> None:
    """Such as pi, while an extension works by itself."""
    keys = {"command": (sys.executable, "-c", REFUSES_THE_SECOND), "output": "pi", "warm": {"ready": 0}}
    it = CommandConfig.model_validate({"kind": "command", "workdir": "{session}", **keys})
    assert it.warm
    command = CommandAgent(it, PATH, work_root=tmp_path)
    async with open_warm("main", command, it, it.warm, tmp_path, rest=0) as agent:
        ann = Session(agent)
        first = await answer(agent, ann.input("One"))
        ann.history += [Turn(role="user", content="One"), Turn(role="assistant", content=first)]
        second = await answer(agent, ann.input("Two"))
        assert second != first
        assert gone(int(first))
