"""The directory of a session, where a command works and finds its files again in the session's next run.

A run that works in a directory holds a shared lock on it, and a worker that removes a directory holds an exclusive
lock. The kernel releases a lock when its process ends, however it ends. Workers that share the root see each other's
locks, also from separate containers. The lock alone is not enough: another worker may have removed the directory before
the lock was acquired. So the holder of a lock checks again that the path still leads to the directory.
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

ROOT = Path(".runrelay/work")  # `.runrelay` holds all files that are kept between starts

_FRESH = "fresh-"  # begins the name of a directory that no later request can use
_NAME = re.compile(rf"({_FRESH})?[0-9a-f]{{64}}")
_TICK_SECONDS = 0.005  # the exclusive lock lasts for a few system calls


@asynccontextmanager
async def session_folder(root: Path, session_key: str) -> AsyncIterator[Path]:
    """The session's directory, made if it is missing. No worker removes it before the end of the block.

    Only this user can read it. It is removed at the end if it is empty. Raises RunError when it cannot be made or
    locked.
    """
    folder = root / folder_name(session_key)
    try:
        while (descriptor := _held(folder)) is None:  # noqa: ASYNC110 - another process holds the lock
            await anyio.sleep(_TICK_SECONDS)
    except OSError as error:
        raise RunError(ErrorCode.AGENT_FAILED, "The agent has no directory to work in.", detail=str(error)) from error
    try:
        yield folder
    finally:
        _let_go(folder, descriptor)


def folder_name(session_key: str) -> str:
    """A hash: a session key is a client's text, which may hold `/` or `..` and does not belong into a listing."""
    return (_FRESH if is_fresh(session_key) else "") + sha256(session_key.encode()).hexdigest()


def is_session_folder(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def is_fresh_folder(name: str) -> bool:
    """Whether the directory belongs to a session that ends with its run."""
    return name.startswith(_FRESH)


def _held(folder: Path) -> int | None:
    """A descriptor that holds the shared lock; None when the caller has to try again."""
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
    with suppress(OSError):  # the directory is not empty, which is no failure of the run, or it is not ours any more
        os.utime(descriptor)
        if lock(descriptor, fcntl.LOCK_EX):
            folder.rmdir()
    os.close(descriptor)


def open_folder(folder: Path) -> int:
    """A descriptor that no child inherits. Raises OSError for a symbolic link instead of following it."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        return os.open(folder, flags)
    except PermissionError:
        if not folder.is_symlink():
            folder.chmod(0o700)  # its agent took away the right to read it
        return os.open(folder, flags)


def lock(descriptor: int, kind: int) -> bool:
    """Whether the lock was free. Does not wait for it."""
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        return True
    return False


def leads_to(folder: Path, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(folder.lstat(), os.fstat(descriptor))
    return False
