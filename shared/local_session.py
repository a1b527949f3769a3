"""The note that `make run` leaves in its folder, so that the command line finds the service that runs there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

FOLDER = Path(".runrelay")
_FILE = "session.json"


class LocalSession(BaseModel):
    """How to reach the local service. `token` is None when the API accepts any value, or when the token is the user's
    own secret."""

    model_config = ConfigDict(frozen=True)

    url: str
    token: str | None
    redis_url: str


@contextmanager
def noted(session: LocalSession, folder: Path) -> Iterator[None]:
    """Writes the note for the time of the block. Only its owner can read it."""
    file = folder / _FILE
    file.unlink(missing_ok=True)  # a killed session may have left one
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(session.model_dump_json())
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def read(folder: Path) -> LocalSession | None:
    """The note in the folder; None when no service runs there."""
    try:
        return LocalSession.model_validate_json((folder / _FILE).read_text())
    except (OSError, ValidationError):
        return None
