"""The directory of a process that was started before its session was known.

It becomes the session's when the process does: it gets the session's name, and its old one is a link to it from then
on, because the CLI may have written that path down. It stays locked until then. So the workers that share a root can
tell what a killed one has left: the kernel lets go of a lock when its process ends.
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
        """Makes it, readable by this user only. Raises OSError."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = root / f"{_NAME}{uuid4().hex}"
        self.path.mkdir(mode=0o700)
        self._lock = _locked(self.path)
        self._lasting = False

    def become(self, name: str, *, lasting: bool) -> bool:
        """Gives it to a session, which may be back after `close` if it is `lasting`. False when that has a directory
        already."""
        with suppress(OSError):
            self.path.rename(self.path.with_name(name))
            self.path.symlink_to(name)
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self._lasting = lasting
            return True
        return False

    def close(self) -> None:
        """Leaves nothing but a lasting session's directory and the link to it."""
        os.close(self._lock)
        if not self.path.is_symlink():
            shutil.rmtree(self.path, ignore_errors=True)
        elif not (self._lasting and self.path.exists()):
            self.path.unlink()


def sweep(root: Path) -> None:
    """Removes what killed workers have left, and links to directories of sessions that are gone."""
    for path in root.glob(f"{_NAME}*"):
        with suppress(OSError):  # somebody has it locked, or has removed it just now
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
