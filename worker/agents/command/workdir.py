"""The directory of a session, where a command works and finds its files again in the session's next run.

Whoever works in one holds a shared lock on it, and whoever removes one holds an exclusive lock. The kernel lets go of a
lock when its process ends, however it ends, and workers that share the root, in containers of their own as well, see
each other's. That the lock is held says nothing yet: the directory may have been removed before it was got. So both
look again, once they hold it, whether the path still leads there.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path

import anyio

from shared.run.errors import ErrorCode, RunError
from shared.run.sessions import is_fresh

ROOT = Path(".runrelay/work")  # beside what else is kept between starts

_FRESH = "fresh-"  # begins the name of a directory that no later request can ask for
_NAME = re.compile(rf"({_FRESH})?[0-9a-f]{{64}}")
_TICK_SECONDS = 0.005  # the exclusive lock is held for a few calls of the kernel


@asynccontextmanager
async def session_folder(root: Path, session_key: str) -> AsyncIterator[Path]:
    """The session's directory, made if it is not there, and nobody's to remove until the end of the block.

    Readable by this user only. Left empty, it is removed. Raises RunError when it cannot be had.
    """
    folder = root / folder_name(session_key)
    try:
        while (descriptor := _held(folder)) is None:  # noqa: ASYNC110 - the other one is another process
            await anyio.sleep(_TICK_SECONDS)
    except OSError as error:
        raise RunError(ErrorCode.AGENT_FAILED, "The agent has no directory to work in.", detail=str(error)) from error
    try:
        yield folder
    finally:
        _let_go(folder, descriptor)


def folder_name(session_key: str) -> str:
    """A hash: a session key is a client's text, which may hold `/` or `..`, and a listing need not show it."""
    return (_FRESH if is_fresh(session_key) else "") + sha256(session_key.encode()).hexdigest()


def is_session_folder(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def is_fresh_folder(name: str) -> bool:
    """Of a session that ends with its run."""
    return name.startswith(_FRESH)


def _held(folder: Path) -> int | None:
    """A descriptor that holds the lock; None when it has to be tried again."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    with suppress(FileNotFoundError):
        descriptor = open_folder(folder)
        if lock(descriptor, fcntl.LOCK_SH) and leads_to(folder, descriptor):
            with suppress(PermissionError):
                os.utime(descriptor)
            return descriptor
        os.close(descriptor)
    return None


def _let_go(folder: Path, descriptor: int) -> None:
    with suppress(OSError):  # it is not empty, which is no failure of the run, or not ours any more
        os.utime(descriptor)
        if lock(descriptor, fcntl.LOCK_EX):
            folder.rmdir()
    os.close(descriptor)


def open_folder(folder: Path) -> int:
    """A descriptor that no child inherits. A symbolic link is not followed but an OSError."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        return os.open(folder, flags)
    except PermissionError:
        if not folder.is_symlink():
            folder.chmod(0o700)  # its agent took away the right to read it
        return os.open(folder, flags)


def lock(descriptor: int, kind: int) -> bool:
    """Whether the lock was to be had at once."""
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        return True
    return False


def leads_to(folder: Path, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(folder.lstat(), os.fstat(descriptor))
    return False
