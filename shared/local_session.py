"""What `make run` notes in its folder, so that the command line finds the service that was started there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

FOLDER = Path(".runrelay")
_FILE = "session.json"


class LocalSession(BaseModel):
    """`token` is None when any value will do, or when it is the user's own secret."""

    model_config = ConfigDict(frozen=True)

    url: str
    token: str | None
    redis_url: str


@contextmanager
def noted(session: LocalSession, folder: Path) -> Iterator[None]:
    """The note is there in this block, for its owner's eyes only."""
    file = folder / _FILE
    file.unlink(missing_ok=True)  # of a session that was killed
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(session.model_dump_json())
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def read(folder: Path) -> LocalSession | None:
    """None when nothing is running there."""
    try:
        return LocalSession.model_validate_json((folder / _FILE).read_text())
    except (OSError, ValidationError):
        return None
