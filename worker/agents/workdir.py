"""The directory of a session, where a command works and finds its files again in the session's next run."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

ROOT = Path(".runrelay/work")  # beside what else is kept between starts


def session_folder(root: Path, session_key: str) -> Path:
    """Makes the session's directory if it is not there, readable by this user only.

    Named by a hash: a session key is a client's text, which may hold `/` or `..`, and a listing need not show
    it.
    """
    folder = root / sha256(session_key.encode()).hexdigest()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
