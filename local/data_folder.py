"""The folder that keeps the runs and the token from one session to the next."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.errors import StartError


@contextmanager
def data_folder(path: Path) -> Iterator[Path]:
    """The folder, made when it is missing and held by nobody else until the end of the block.

    The lock belongs to the open file, so that it is gone with the process, however that ends.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (path / "lock").open("a+")
    except OSError as refused:
        raise StartError(f"cannot write to {path}: {refused.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise StartError(f"already running on {path} (process {holder}); stop it first") from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield path


def local_token(file: Path) -> str:
    """The token of this folder, made on first use and readable by its owner only."""
    try:
        if token := (file.read_text().strip() if file.exists() else ""):
            return token
        token = secrets.token_urlsafe(24)
        file.unlink(missing_ok=True)  # left empty by a full disk
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(f"{token}\n")
    except OSError as refused:
        raise StartError(f"cannot keep a token in {file}: {refused.strerror}") from None
    return token
