"""The folder that keeps the runs and the token from one session to the next."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.terminal import SessionError


@contextmanager
def data_folder(path: Path) -> Iterator[Path]:
    """Creates the folder if it is missing, and holds it for this process alone until the end of the block.

    The kernel drops the lock with the open file: however this process ends, the next one gets the folder.
    """
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        lock = (path / "lock").open("a+")
    except OSError as refused:
        raise SessionError(f"cannot write to {path}: {refused.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise SessionError(f"already running on {path} (process {lock.read().strip()}); stop it first") from None
        lock.truncate(0)
        print(os.getpid(), file=lock, flush=True)
        yield path


def local_token(file: Path) -> str:
    """The token in the file, which only its owner can read. Creates both on first use."""
    file.touch(mode=0o600)
    token = file.read_text().strip()
    if not token:  # also after a disk was full
        token = secrets.token_urlsafe(24)
        file.write_text(f"{token}\n")
    return token
