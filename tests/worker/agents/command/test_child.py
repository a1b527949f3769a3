from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager

import anyio
import psutil
import pytest

from shared.run.errors import ErrorCode, RunError
from tests.worker.agents.asking import gone, until
from worker.agents.command.child import STDERR_TAIL, Child, Stdin, start_child
from worker.agents.command.process_family import ProcessFamily, end_family

pytestmark = pytest.mark.slow

SLEEPER = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"]
FOREVER = "import time; time.sleep(600)"


def started(
    *command: str,
    stdin: Stdin = b"",
    environment: Mapping[str, str] | None = None,
    grace: float = 5,
) -> AbstractAsyncContextManager[Child]:
    environment = {} if environment is None else environment
    return start_child(command, stdin=stdin, environment=environment, folder=None, end=end_family, grace=grace)


def python(source: str, stdin: Stdin = b"") -> AbstractAsyncContextManager[Child]:
    return started(sys.executable, "-c", source, stdin=stdin)


async def rest(it: Child) -> bytes:
    read = bytearray()
    while chunk := await it.read():
        read += chunk
    return bytes(read)


async def test_stdin_goes_in_and_stdout_comes_out() -> None:
    async with started("cat", stdin=b"Hi") as it:
        assert (await rest(it), await it.exit_code(), await it.errors()) == (b"Hi", 0, "")


async def test_output_comes_while_the_child_goes_on() -> None:
    async with python(f"print('first', flush=True); {FOREVER}") as it:
        assert await it.read() == b"first\n"


async def test_no_stdin_is_an_empty_one() -> None:
    async with started("cat", stdin=None) as it:
        assert await rest(it) == b""


async def test_much_in_and_much_out_at_once() -> None:
    """A worker that wrote everything before it read would hang here: neither pipe holds a megabyte."""
    much = b"x" * 4_000_000
    async with started("cat", stdin=much) as it:
        assert await rest(it) == much


async def test_stdin_need_not_be_read() -> None:
    async with python("import os; os.close(0); print('done')", stdin=b"x" * 4_000_000) as it:
        assert (await rest(it), await it.exit_code()) == (b"done\n", 0)


async def test_stdin_need_not_be_read_by_a_child_that_goes_on() -> None:
    async with python(f"print('done', flush=True); {FOREVER}", stdin=b"x" * 4_000_000) as it:
        assert await it.read() == b"done\n"


async def test_an_open_stdin_is_written_to_as_often_as_one_likes() -> None:
    async with started("cat", stdin="open") as it:
        for text in (b"first", b"second"):
            it.write(text)
            assert await it.read() == text
        it.end_input()
        assert (await rest(it), await it.exit_code()) == (b"", 0)


async def test_writing_does_not_wait_for_the_child() -> None:
    """The child may be busy with its own output: then each side would wait for the other for ever."""
    much = b"x" * 4_000_000
    async with started("cat", stdin="open") as it:
        it.write(much)
        it.write(b"the end")
        it.end_input()
        assert await rest(it) == much + b"the end"


async def test_a_child_that_has_ended_may_be_written_to() -> None:
    async with started("true", stdin="open") as it:
        assert await it.exit_code() == 0
        it.write(b"Hi")
        it.end_input()
        assert await rest(it) == b""


async def test_of_much_stderr_the_tail_is_kept() -> None:
    source = "import sys; sys.stderr.write('x' * 4_000_000 + 'the end'); print('done'); sys.exit(3)"
    async with python(source) as it:
        assert (await rest(it), await it.exit_code()) == (b"done\n", 3)
        errors = await it.errors()
    assert errors.endswith("xthe end")
    assert len(errors) == STDERR_TAIL


async def test_a_signal_is_a_negative_code() -> None:
    async with python("import os; os.kill(os.getpid(), 9)") as it:
        assert (await rest(it), await it.exit_code()) == (b"", -9)


@pytest.mark.parametrize("command", [["/no/such/file"], ["/etc/passwd"], ["no-such-command"]])
async def test_what_cannot_be_started_is_a_failed_run(command: list[str]) -> None:
    with pytest.raises(RunError) as failure:
        async with started(*command):
            pass
    assert failure.value.code is ErrorCode.AGENT_FAILED
    assert command[0] not in failure.value.message


async def test_an_argument_that_is_too_long_is_told() -> None:
    with pytest.raises(RunError, match="too long"):
        async with started("echo", "x" * 4_000_000):
            pass


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_leaving_ends_the_child() -> None:
    async with started(*SLEEPER) as it:
        pid = int(await it.read())
        assert not gone(pid)
    assert gone(pid)


async def test_a_deaf_child_is_killed_after_the_grace() -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER[-1]
    async with started(sys.executable, "-c", deaf, grace=0.2) as it:
        pid = int(await it.read())
    assert gone(pid)


LEFTOVER = "import subprocess, sys; p = subprocess.Popen({command}, {options}); print(p.pid, flush=True)"
SLEEP = ["sleep", "600"]


@pytest.mark.parametrize("options", ["", "start_new_session=True"], ids=["same session", "own session"])
@pytest.mark.parametrize("silent", [False, True], ids=["holds stdout", "holds nothing"])
async def test_what_the_child_left_behind_does_not_hold_the_run_and_is_ended(options: str, silent: bool) -> None:
    devnull = "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, " if silent else ""
    async with python(LEFTOVER.format(command=SLEEP, options=devnull + options)) as it:
        pid = int(await rest(it))
        assert await it.exit_code() == 0
        assert await it.errors() == ""
    assert gone(pid)


async def test_a_leftover_that_prints_for_ever_is_ended_while_the_child_is_read() -> None:
    """A reader that always gets more bytes would never reach the end by itself."""
    source = LEFTOVER.format(command=["yes"], options="").replace("print(p.pid", "print(p.pid, file=sys.stderr")
    async with python(source) as it:
        await rest(it)
        pid = int(await it.errors())
        await until(lambda: gone(pid))


async def test_whom_we_cannot_find_does_not_hold_the_run() -> None:
    """The process dropped its group, its parents and its mark, and holds stdout: it lives on, and the run ends."""
    async with python(LEFTOVER.format(command=SLEEP, options="start_new_session=True, env={}")) as it:
        pid = int(await rest(it))
        assert not gone(pid)
    psutil.Process(pid).kill()


async def test_a_slow_reader_misses_nothing() -> None:
    """The time after the child's end limits silence, not reading: Redis may be away just then."""
    size = 150_000  # fits into the pipe and the buffer behind it, so that the child can end before it is read
    source = f"sys.stdout.write('x' * {size})"
    async with python(f"{LEFTOVER.format(command=SLEEP, options='')}; {source}") as it:
        first = await it.read()
        leftover = int(first.split()[0])
        await until(lambda: gone(leftover))  # so the time after the child's end is over
        assert len(first + await rest(it)) == len(f"{leftover}\n") + size


@pytest.mark.parametrize("times", [1, 3])
async def test_a_cancelled_task_leaves_no_process(times: int) -> None:
    pid = 0

    async def attend() -> None:
        nonlocal pid
        async with started(*SLEEPER) as it:
            pid = int(await it.read())
            await it.read()

    task = asyncio.create_task(attend())
    await until(lambda: pid)
    for _ in range(times):
        task.cancel()
        await anyio.lowlevel.checkpoint()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone(pid)


async def test_a_cancelled_scope_leaves_no_process() -> None:
    with anyio.CancelScope() as scope:
        async with started(*SLEEPER) as it:
            pid = int(await it.read())
            scope.cancel()
            await it.read()
    assert gone(pid)


async def test_a_child_that_cannot_be_ended_does_not_hold_the_run() -> None:
    """Examples are a child of another user, and one that hangs in the kernel."""

    async def powerless(family: ProcessFamily, *, grace: float) -> None:
        pass

    async with start_child(SLEEPER, stdin=None, environment={}, folder=None, end=powerless, grace=0) as it:
        pid = int(await it.read())
    assert not gone(pid)
    psutil.Process(pid).kill()
    await until(lambda: f"child {pid}" not in {task.get_name() for task in asyncio.all_tasks()})


async def start_forever() -> None:
    async with started(*SLEEPER):
        await anyio.sleep_forever()


async def cancelled_after(steps: int) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(start_forever)
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


async def natively_cancelled_after(steps: int) -> None:
    task = asyncio.create_task(start_forever())
    for _ in range(steps):
        await anyio.lowlevel.checkpoint()
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.parametrize("cancelled", [cancelled_after, natively_cancelled_after])
async def test_a_start_that_is_cancelled_at_any_moment_leaves_no_process(
    cancelled: Callable[[int], Awaitable[None]],
) -> None:
    before = psutil.Process().children()
    for steps in range(10):
        await cancelled(steps)
        assert [child for child in psutil.Process().children() if child not in before] == []
