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
    """The folder, made when it is missing and held by this process alone until the end of the block.

    The lock belongs to the open file, so that it is gone with the process, however that ends.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (path / "lock").open("a+")
    except OSError as refused:
        raise SessionError(f"cannot write to {path}: {refused.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise SessionError(f"already running on {path} (process {holder}); stop it first") from None
        lock.truncate(0)
        print(os.getpid(), file=lock, flush=True)
        yield path


def local_token(file: Path) -> str:
    """The token of this folder, made on first use and readable by its owner only."""
    file.touch(mode=0o600)
    token = file.read_text().strip()  # empty as well when the disk was full last time
    if not token:
        token = secrets.token_urlsafe(24)
        file.write_text(f"{token}\n")
    return token
