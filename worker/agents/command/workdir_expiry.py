"""Removes the directories of sessions that no run has used for long.

Any number of workers may do so in one root, while runs begin and end in it. A directory in use stays, however long its
run takes, and its time counts from the end of that run. The worker first moves an expired directory out of its
session's reach, in one system call, and then deletes it, which may take long. A run that begins meanwhile gets a new
directory.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import CalledProcessError
from uuid import uuid4

import structlog
from anyio import to_thread

from shared.observe.supervision import Beat
from worker.agents.command.workdir import is_fresh_folder, is_session_folder, leads_to, lock, open_folder

logger = structlog.get_logger()

SWEEP_SECONDS = 600.0
FRESH_TTL_SECONDS = 3_600.0  # of a session that ends with its run: for another attempt or an operator's look

_REMOVED = "removed-"  # begins the name of a directory that is being deleted


@dataclass(frozen=True)
class Expiry:
    """`ttl_seconds` counts from a directory's last use; 0 keeps every directory."""

    root: Path
    ttl_seconds: float

    async def sweep_forever(self, beat: Beat) -> None:
        while self.ttl_seconds:
            await self.sweep()
            await beat.sleep(min(SWEEP_SECONDS, self.ttl_seconds))

    async def sweep(self) -> None:
        """Removes one directory after the other, so that a worker that stops waits for one at most."""
        for folder in await to_thread.run_sync(self._expired):
            await to_thread.run_sync(self._remove, folder)

    def _expired(self) -> list[Path]:
        try:
            with os.scandir(self.root) as entries:
                # The target of a link is not ours.
                folders = [Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False)]
            return [folder for folder in folders if self._over(folder)]
        except FileNotFoundError:  # no session has had a directory yet
            return []
        except OSError as error:
            logger.warning("workdir.unreadable", why=str(error))
            return []

    def _over(self, folder: Path) -> bool:
        if folder.name.startswith(_REMOVED):  # by a worker that was stopped meanwhile
            return True
        with suppress(FileNotFoundError):
            return is_session_folder(folder.name) and self._unused(folder.name, folder.lstat())
        return False

    def _unused(self, name: str, seen: os.stat_result) -> bool:
        ttl = min(self.ttl_seconds, FRESH_TTL_SECONDS) if is_fresh_folder(name) else self.ttl_seconds
        return seen.st_mtime < time.time() - ttl

    def _remove(self, folder: Path) -> None:
        try:
            if (removed := self._moved(folder)) is not None:
                delete(removed)
                logger.info("workdir.removed", folder=folder.name)
        except (OSError, CalledProcessError) as left:
            logger.warning("workdir.left", folder=folder.name, why=_why(left))

    def _moved(self, folder: Path) -> Path | None:
        """The path after the move, ready to be deleted; None when the directory is in use or was used just now."""
        if folder.name.startswith(_REMOVED):
            return folder
        with suppress(FileNotFoundError):
            descriptor = open_folder(folder)
            try:
                if not lock(descriptor, fcntl.LOCK_EX):
                    os.utime(descriptor)  # in use until now; a killed worker could not record the end of its use
                elif self._unused(folder.name, os.fstat(descriptor)) and leads_to(folder, descriptor):
                    return folder.rename(self.root / f"{_REMOVED}{uuid4().hex}")
            finally:
                os.close(descriptor)
        return None


def delete(folder: Path) -> None:
    """Deletes the directory and follows no link. Raises OSError or CalledProcessError when a part of it is left.

    It runs `rm`, which has no limit for the depth of directories; `shutil.rmtree` has one.
    """
    try:
        _run("rm", "-rf", folder)
    except CalledProcessError:
        _run("chmod", "-R", "u+rwx", folder)  # an agent may have removed its own rights
        _run("rm", "-rf", folder)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _why(left: OSError | CalledProcessError) -> str:
    complaints = left.stderr if isinstance(left, CalledProcessError) else str(left).encode()
    return complaints.decode(errors="replace").partition("\n")[0]
