from __future__ import annotations

import stat
from pathlib import Path

import pytest

from local.data_folder import data_folder, local_token
from local.terminal import SessionError


def test_the_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    file = tmp_path / "token"
    token = local_token(file)
    assert len(token) >= 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert local_token(file) == token


def test_a_token_that_a_full_disk_left_empty_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "token").touch()
    assert local_token(tmp_path / "token")


def test_tokens_differ(tmp_path: Path) -> None:
    assert local_token(tmp_path / "one") != local_token(tmp_path / "two")


def test_the_folder_is_free_again_after_the_block(tmp_path: Path) -> None:
    for _ in range(2):
        with data_folder(tmp_path / "data") as folder:
            assert folder.is_dir()


def test_two_sessions_do_not_share_a_folder(tmp_path: Path) -> None:
    with data_folder(tmp_path), pytest.raises(SessionError, match="already running"), data_folder(tmp_path):
        pass
