from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.run.errors import ErrorCode, RunError, SettingsError
from shared.run.events import Delta, ToolUse
from shared.run.run import Turn
from tests.worker.agents.asking import answer, asked, command_agent, gone, heard, said, script, text, until
from worker.agents.command.process_family import MARK
from worker.agents.protocol import Agent, AgentConversation, EarlierConversation

pytestmark = pytest.mark.slow

FOREVER = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
HISTORY = (Turn(role="user", content="Hello"), Turn(role="assistant", content="Hi."))


async def failure(agent: Agent) -> RunError:
    with pytest.raises(RunError) as failed:
        await said(agent)
    return failed.value


# --- what goes in -----------------------------------------------------------------------------------------------------


async def test_stdin_is_exactly_the_message_when_there_is_nothing_else() -> None:
    assert await answer(command_agent("cat"), asked("-n\n\u2028 \U0001f600")) == "-n\n\u2028 \U0001f600"


async def test_stdin_is_the_rendered_prompt() -> None:
    prompt = await answer(command_agent("cat"), asked("Go", system="Be kind.", history=HISTORY))
    assert prompt.startswith("[System]\nBe kind.\n\n[Conversation so far]\n")


async def test_json_is_one_line_with_the_documented_names() -> None:
    given_json = await answer(command_agent("cat", input="json"), asked("a\nb", system="Be kind.", history=HISTORY))
    assert given_json.endswith("}\n")
    assert given_json.count("\n") == 1
    assert json.loads(given_json) == {
        "message": "a\nb",
        "extraSystemPrompt": "Be kind.",
        "history": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi."}],
        "runId": "chatcmpl_1",
        "sessionKey": "agent:main:openai:1",
        "agentId": "main",
    }


@pytest.mark.parametrize("message", ["-n", "--help", "; rm -rf /", "$(id) `id` $HOME", "a\nb 'c' \"d\" *"])
async def test_a_message_as_argument_is_data(message: str) -> None:
    """`printf` takes every option that it gets, and no shell interprets the rest."""
    agent = command_agent("printf", "%s|", "--", input="argument")
    assert await answer(agent, asked(message)) == f"--|{message}|"
    agent = command_agent("printf", "--", "{prompt}", input="argument")
    assert await answer(agent, asked("-n")) == "-n"


async def test_a_message_that_is_too_long_for_an_argument_is_told() -> None:
    agent = command_agent("echo", input="argument")
    with pytest.raises(RunError, match="too long"):
        await said(agent, asked("x" * 4_000_000))


async def test_nothing_but_the_allowed_environment_reaches_the_command() -> None:
    """It also gets the variables that name the run. Any other variable of the worker may be a secret."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/home/x", "API_TOKENS": "secret", "LANG": "C"}
    agent = command_agent("env", environment=environment, env=["PATH", "HOME", "NOT_SET"])
    lines = dict(line.split("=", 1) for line in (await answer(agent)).splitlines())
    assert lines.pop(MARK)
    assert lines == {
        "PATH": "/usr/bin:/bin",
        "HOME": "/home/x",
        "RUNRELAY_RUN_ID": "chatcmpl_1",
        "RUNRELAY_SESSION_KEY": "agent:main:openai:1",
        "RUNRELAY_AGENT_ID": "main",
    }


async def test_a_session_keeps_its_directory_and_shares_it_with_nobody(tmp_path: Path) -> None:
    agent = command_agent("sh", "-c", "ls; touch seen", workdir="{session}", work_root=tmp_path)
    answers = [await answer(agent, asked(session_key=key)) for key in ("ann", "bob", "ann")]
    assert answers == ["", "", "seen\n"]


async def test_a_fixed_directory_is_used_as_it_is(tmp_path: Path) -> None:
    assert await answer(command_agent("pwd", workdir=str(tmp_path))) == f"{tmp_path}\n"


async def test_without_a_directory_it_works_where_the_worker_does() -> None:
    assert await answer(command_agent("pwd")) == f"{Path.cwd()}\n"


async def test_paths_on_the_command_line_mean_the_same_in_a_directory_of_a_session(tmp_path: Path) -> None:
    agent = command_agent(
        "python3", "examples/text/count_words.py", workdir="{session}", work_root=tmp_path, environment=None
    )
    assert await answer(agent, asked("one two three")) == "3 words"


async def test_paths_are_relative_to_a_fixed_directory(tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\npwd\n")
    tool.chmod(0o700)
    assert await answer(command_agent("bin/tool", workdir=str(tmp_path))) == f"{tmp_path}\n"


@pytest.mark.parametrize("executable", ["no-such-command", "/no/such/file", "bin/tool", "/etc/passwd", ""])
def test_an_executable_that_is_not_there_is_told_at_the_start(executable: str) -> None:
    with pytest.raises(SettingsError, match=f"^command: no executable '{executable}'"):
        command_agent(executable)


def test_path_is_the_commands_own() -> None:
    with pytest.raises(SettingsError, match=r"no executable 'sh' on PATH \(/nowhere\)"):
        command_agent("sh", environment={"PATH": "/nowhere"})
    command_agent("sh", environment={})


def test_a_directory_that_is_not_there_is_told_at_the_start() -> None:
    with pytest.raises(SettingsError, match=r"^workdir: /no/such is not a directory$"):
        command_agent("pwd", workdir="/no/such")


# --- what comes out ---------------------------------------------------------------------------------------------------


async def test_text_is_said_as_it_comes() -> None:
    async with aclosing(script(f"print('first', flush=True); {FOREVER}").run(asked())) as events:
        assert text([await anext(events)]).startswith("first\n")


@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.text().filter(str.strip))
async def test_any_text_comes_back(message: str) -> None:
    """It comes byte by byte, so that every character is cut."""
    source = "import os, sys\nfor byte in sys.stdin.buffer.read(): os.write(1, bytes([byte]))"
    assert await answer(script(source), asked(message)) == message


async def test_invalid_utf_8_is_replaced() -> None:
    assert await answer(script("import os; os.write(1, b'a\\xffb\\xe2\\x98')")) == "a\ufffdb\ufffd"


async def test_json_lines_are_events() -> None:
    lines = [
        {"delta": "a"},
        {"stream": "tool", "data": {"phase": "start", "name": "ls", "toolCallId": "1"}},
        {"message": True},
        {"delta": "b"},
    ]
    source = f"import json\nfor line in {lines!r}: print(json.dumps(line))"
    assert await said(script(source, output="jsonl")) == [
        Delta(delta="a"),
        ToolUse(phase="start", name="ls", tool_call_id="1"),
        Delta(delta="b", message=1),
    ]


async def test_each_run_counts_its_own_messages() -> None:
    agent = script("""print('{"delta": "a"}'); print('{"message": true}'); print('{"delta": "b"}')""", output="jsonl")
    assert await said(agent) == await said(agent)


async def test_a_broken_line_fails_the_run_and_stderr_is_for_operators() -> None:
    source = "import sys; sys.stderr.write('Traceback /secret/path'); sys.stderr.flush(); print('oops')"
    failed = await failure(script(source, output="jsonl"))
    assert failed.code is ErrorCode.AGENT_PROTOCOL_ERROR
    assert "oops" in failed.detail
    assert "oops" not in failed.message


async def test_a_line_without_end_fails_the_run() -> None:
    failed = await failure(script("while True: print('x' * 65536, end='')", output="jsonl"))
    assert failed.code is ErrorCode.OUTPUT_TOO_LARGE


async def test_a_failure_that_the_agent_tells_ends_it() -> None:
    source = (
        "import json, os, time\n"
        "print(json.dumps({'error': {'message': f'No lake, {os.getpid()}'}}), flush=True)\n"
        "time.sleep(600)"
    )
    failed = await failure(script(source, output="jsonl"))
    assert failed.code is ErrorCode.AGENT_FAILED
    assert gone(int(failed.message.removeprefix("No lake, ")))


# --- conversations ----------------------------------------------------------------------------------------------------

KEEPER = str(Path(__file__).with_name("keeper.py"))
RESUME = ("--resume", "{conversation}")


class Session:
    """One session of an agent that keeps its conversations in the session's directory. Each call is a turn."""

    def __init__(self, folder: Path, *, workdir: str = "{session}", resume: Sequence[str] = RESUME) -> None:
        self.agent = command_agent(
            sys.executable,
            KEEPER,
            resume=resume,
            forget=["--forget"],
            output="claude",
            workdir=workdir,
            work_root=folder,
        )
        self.folder = folder
        self.earlier: EarlierConversation | None = None

    async def __call__(self, message: str, *, history: tuple[Turn, ...] = (), named: bool = True) -> list[str]:
        """The prompts of the conversation in which the agent answers."""
        outputs = await heard(self.agent, asked(message, history=history, named_session=named, earlier=self.earlier))
        own = [one for one in outputs if isinstance(one, AgentConversation)]
        self.earlier = EarlierConversation(id=own[-1].id, place=own[-1].place, has_system_prompt=True) if own else None
        prompts: list[str] = json.loads(text(outputs))
        return prompts

    def files(self) -> list[Path]:
        return [file for file in self.folder.glob("*/*") if file.is_file()]


async def test_a_session_goes_on_in_the_commands_own_conversation(tmp_path: Path) -> None:
    session = Session(tmp_path)
    assert await session("one") == ["one"]
    assert await session("two", history=HISTORY) == ["one", "two"]
    assert await session("three", history=HISTORY) == ["one", "two", "three"]


async def test_without_the_commands_files_it_goes_on_by_the_transcript(tmp_path: Path) -> None:
    session = Session(tmp_path)
    await session("one")
    session.files()[0].unlink()
    (prompt,) = await session("two", history=HISTORY)
    assert prompt.startswith("[Conversation so far]\nUser: Hello")
    assert len(await session("three")) == 2


async def test_a_failure_in_the_conversation_is_the_runs_failure_and_starts_nothing_anew(tmp_path: Path) -> None:
    session = Session(tmp_path)
    await session("one")
    with pytest.raises(RunError, match="broken"):
        await session("break", history=HISTORY)
    assert len(session.files()) == 1


async def test_a_conversation_is_not_gone_on_in_from_another_directory(tmp_path: Path) -> None:
    session, other = Session(tmp_path), Session(tmp_path, workdir=str(tmp_path))
    await session("one")
    other.earlier = session.earlier
    (prompt,) = await other("two", history=HISTORY)
    assert prompt.startswith("[Conversation so far]")


async def test_a_command_that_cannot_go_on_names_no_conversation(tmp_path: Path) -> None:
    session = Session(tmp_path, resume=())
    await session("one")
    assert session.earlier is None


async def test_nothing_is_kept_of_a_session_without_a_name(tmp_path: Path) -> None:
    session = Session(tmp_path)
    assert await session("one", named=False) == ["one"]
    assert session.files() == []


async def test_what_is_no_id_never_reaches_the_command_line(tmp_path: Path) -> None:
    session = Session(tmp_path)
    await session("one")
    assert session.earlier is not None
    session.earlier = session.earlier.model_copy(update={"id": "--forget"})
    assert len(await session("two")) == 1
    assert len(session.files()) == 2


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_another_exit_code_than_0_is_a_failure() -> None:
    source = "import sys; print('partly', flush=True); sys.stderr.write('/secret/path\\n'); sys.exit(3)"
    async with aclosing(script(source).run(asked())) as events:
        assert await anext(events) == Delta(delta="partly\n")
        with pytest.raises(RunError) as failed:
            await anext(events)
    assert failed.value.code is ErrorCode.AGENT_FAILED
    assert failed.value.message == "The agent exited with code 3."
    assert failed.value.detail == "/secret/path"


async def test_a_killed_agent_is_a_failure() -> None:
    failed = await failure(script("import os; os.kill(os.getpid(), 9)"))
    assert failed.message == "The agent was killed by SIGKILL."


async def test_an_agent_that_was_removed_meanwhile_is_a_failure(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o700)
    agent = command_agent(str(tool))
    tool.unlink()
    failed = await failure(agent)
    assert failed.code is ErrorCode.AGENT_FAILED
    assert str(tmp_path) in failed.detail
    assert str(tmp_path) not in failed.message


async def test_an_agent_that_says_nothing_says_nothing() -> None:
    assert await said(command_agent("true")) == []


async def test_a_closed_run_leaves_no_process() -> None:
    async with aclosing(script(FOREVER).run(asked())) as events:
        event = await anext(events)
    assert isinstance(event, Delta)
    assert gone(int(event.delta))


async def test_a_cancelled_run_leaves_no_process() -> None:
    heard: list[Delta] = []

    async def listen() -> None:
        async with aclosing(script(FOREVER).run(asked())) as events:
            async for event in events:
                assert isinstance(event, Delta)
                heard.append(event)

    task = asyncio.create_task(listen())
    await until(lambda: heard)
    task.cancel()
    await anyio.lowlevel.checkpoint()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone(int(heard[0].delta))


async def test_runs_do_not_disturb_each_other() -> None:
    agent = command_agent("cat")
    answers: dict[str, str] = {}

    async def ask(message: str) -> None:
        answers[message] = await answer(agent, asked(message))

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(ask, f"message {number}")
    assert answers == {f"message {number}": f"message {number}" for number in range(20)}
