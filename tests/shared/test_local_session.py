from __future__ import annotations

import stat
from pathlib import Path

from shared.local_session import LocalSession, noted, read

SESSION = LocalSession(url="http://127.0.0.1:8000", token="secret", redis_url="redis://:p@127.0.0.1:1")


def test_a_session_is_found_as_long_as_it_lasts(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    with noted(SESSION, tmp_path):
        assert read(tmp_path) == SESSION
        (file,) = tmp_path.iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_session_left_is_overwritten(tmp_path: Path) -> None:
    with noted(SESSION, tmp_path):
        (file,) = tmp_path.iterdir()
    file.write_text("{")
    assert read(tmp_path) is None
    with noted(SESSION, tmp_path):
        assert read(tmp_path) == SESSION
