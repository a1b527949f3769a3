"""The directory of a process that was started before its session was known.

It becomes the session's when the process does: it gets the session's name, and a link takes its old name, because the
CLI may have stored the old path. The worker keeps the directory locked until then. So the workers that share a root can
find the directories of a killed worker: the kernel releases a lock when its process ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

_NAME = "ready-"


class ReadyFolder:
    def __init__(self, root: Path) -> None:
        """Makes the directory, readable by this user only. Raises OSError."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = root / f"{_NAME}{uuid4().hex}"
        self.path.mkdir(mode=0o700)
        self._lock = _locked(self.path)
        self._lasting = False

    def become(self, name: str, *, lasting: bool) -> bool:
        """Gives the directory to a session. Returns False when the session has a directory already. A `lasting` session
        may have more turns after `close`."""
        with suppress(OSError):
            self.path.rename(self.path.with_name(name))
            self.path.symlink_to(name)
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self._lasting = lasting
            return True
        return False

    def close(self) -> None:
        """Removes the directory or the link to it. A lasting session keeps both."""
        os.close(self._lock)
        if not self.path.is_symlink():
            shutil.rmtree(self.path, ignore_errors=True)
        elif not (self._lasting and self.path.exists()):
            self.path.unlink()


def sweep(root: Path) -> None:
    """Removes the directories of killed workers, and links to directories of sessions that are gone."""
    for path in root.glob(f"{_NAME}*"):
        with suppress(OSError):  # another worker has it locked, or has removed it just now
            if not path.is_symlink():
                lock = _locked(path)
                shutil.rmtree(path)
                os.close(lock)
            elif not path.exists():
                path.unlink()


def _locked(path: Path) -> int:
    """A descriptor that holds the lock. Raises OSError when another process has it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
