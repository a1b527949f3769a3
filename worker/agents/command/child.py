"""A child process of a run: its pipes, its exit, its end."""

from __future__ import annotations

import asyncio
import errno
import math
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal, TypeVar

import anyio
from anyio.abc import ByteSendStream, Process

from shared.run.errors import ErrorCode, RunError
from worker.agents.cleanup import to_its_end
from worker.agents.command.orphans import new_mark
from worker.agents.command.process_family import KILL_SECONDS, MARK, EndFamily, ProcessFamily

LINGER_SECONDS = 0.5  # that the pipes stay open after the child has ended, in case another process still holds them
STDERR_TAIL = 4_096  # bytes

Pipe = TypeVar("Pipe")
Stdin = bytes | Literal["open"] | None


class Child:
    """A process started by `start_child`. It feeds stdin and drains stderr by itself: the caller reads only stdout."""

    def __init__(self, process: Process, family: ProcessFamily, stdin: Stdin, end: EndFamily) -> None:
        self.pid = process.pid
        self.at_end = False  # stdout has ended
        self.errors_heard = 0  # how often stderr got something
        self._process = process
        self._family = family
        self._end = end
        self._patience = math.inf  # seconds that stdout may be silent
        self._reading = anyio.CancelScope()
        self._stderr = bytearray()
        self._drained = anyio.Event()
        self._input: asyncio.Queue[bytes | None] = asyncio.Queue()  # for stdin; None ends it
        # Not a task group: it would be open while the agent, an async generator, yields, which anyio forbids.
        self._minder = asyncio.create_task(self._mind(), name=f"child {process.pid}")
        if isinstance(stdin, bytes):
            self.write(stdin)
            self.end_input()

    def write(self, text: bytes) -> None:
        """Queues `text` for stdin, which has to be open. Does not wait: the child may read it late or never."""
        self._input.put_nowait(text)

    def end_input(self) -> None:
        """Closes stdin after everything that was written."""
        self._input.put_nowait(None)

    async def read(self, *, within: float = math.inf) -> bytes:
        """The next bytes of stdout; empty at its end, which `at_end` tells, and when none come `within` seconds.

        Stdout ends when no process holds it open any more. When the child has ended and a process that we cannot find
        holds it, stdout ends after LINGER_SECONDS without a byte.
        """
        stdout = _pipe(self._process.stdout)
        with anyio.move_on_after(within), anyio.move_on_after(self._patience) as self._reading:
            try:
                return await stdout.receive()
            except anyio.EndOfStream:
                self.at_end = True
        self.at_end = self.at_end or self._reading.cancelled_caught
        return b""

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    async def exit_code(self) -> int:
        """Waits for the child's end. The code is negative when a signal ended it."""
        return await self._process.wait()

    async def errors(self) -> str:
        """The last STDERR_TAIL bytes of stderr. After the child's end it waits LINGER_SECONDS for the rest of them."""
        if self._process.returncode is not None:
            with anyio.move_on_after(LINGER_SECONDS):
                await self._drained.wait()
        return self._stderr.decode(errors="replace").strip()

    async def close(self, *, grace: float) -> None:
        """Ends the child and all processes that it started, and closes the pipes.

        The run does not wait for a child that it cannot end, such as one of another user; the minder task does.
        """
        await self._end(self._family, grace=grace if self._process.returncode is None else LINGER_SECONDS)
        self._minder.cancel()
        await asyncio.wait({self._minder}, timeout=KILL_SECONDS)

    async def _mind(self) -> None:
        try:
            async with anyio.create_task_group() as pipes:
                pipes.start_soon(self._drain, name="stderr")
                if self._process.stdin is not None:
                    pipes.start_soon(_feed, self._process.stdin, self._input, name="stdin")
                await self._process.wait()
                await self._bound_what_follows()
                await anyio.sleep_forever()  # until `close`: the agent may still be reading
        finally:
            await self._process.aclose()

    async def _bound_what_follows(self) -> None:
        self._patience = LINGER_SECONDS
        self._reading.deadline = anyio.current_time() + LINGER_SECONDS
        await anyio.sleep(LINGER_SECONDS)
        await self._end(self._family, grace=LINGER_SECONDS)

    async def _drain(self) -> None:
        async for chunk in _pipe(self._process.stderr):
            self.errors_heard += 1
            self._stderr = (self._stderr + chunk)[-STDERR_TAIL:]
        self._drained.set()


@asynccontextmanager
async def start_child(
    command: Sequence[str],
    *,
    stdin: Stdin,
    environment: Mapping[str, str],
    folder: Path | None,
    end: EndFamily,
    grace: float,
) -> AsyncIterator[Child]:
    """Starts `command` as the leader of its own session, with exactly `environment` and a mark in it.

    A `stdin` of None is empty, and "open" takes what `write` gets. Raises RunError when the command cannot be started.
    When the block ends, the child and all processes that it started have ended. A child that has not ended by itself
    gets `grace` seconds between SIGTERM and SIGKILL.
    """
    started: list[Child] = []

    async def start() -> None:
        started.append(await _started(command, stdin=stdin, environment=environment, folder=folder, end=end))

    try:
        # To its end: a start that is cancelled half-way would leave a process that no object knows.
        await to_its_end(start(), name=f"start of {command[0]}")
        yield started[0]
    finally:
        for child in started:
            await to_its_end(child.close(grace=grace), name=f"end of child {child.pid}")


async def _started(
    command: Sequence[str], *, stdin: Stdin, environment: Mapping[str, str], folder: Path | None, end: EndFamily
) -> Child:
    mark = new_mark()
    try:
        process = await anyio.open_process(
            command,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            env={**environment, MARK: mark},
            cwd=folder,
            start_new_session=True,
        )
    except OSError as error:
        raise _not_started(command[0], error) from error
    return Child(process, ProcessFamily.of(process.pid, mark), stdin, end)


async def _feed(stdin: ByteSendStream, texts: asyncio.Queue[bytes | None]) -> None:
    # The child may read its input only in part, or not at all.
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
        while (text := await texts.get()) is not None:
            await stdin.send(text)
    await stdin.aclose()


def _not_started(executable: str, error: OSError) -> RunError:
    if error.errno == errno.E2BIG:
        return RunError(ErrorCode.AGENT_FAILED, "The message is too long to be an argument of the agent.")
    return RunError(ErrorCode.AGENT_FAILED, "The agent could not be started.", detail=f"{executable}: {error}")


def _pipe(pipe: Pipe | None) -> Pipe:
    assert pipe is not None  # `_started` requests it from open_process
    return pipe
