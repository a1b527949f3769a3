from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.local.session import Session, stand_in


class Start(Protocol):
    def __call__(self, procfile: str = ..., **settings: str) -> Session: ...


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Its path has a space in it, as users' folders have."""
    folder = tmp_path / "my projects"
    folder.mkdir()
    return folder


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Starts sessions in the test's folder, and ends them after the test."""
    sessions: list[Session] = []

    def start(procfile: str = stand_in(), **settings: str) -> Session:
        sessions.append(Session(folder, procfile, settings))
        return sessions[-1]

    yield start
    for session in sessions:
        session.end()
