from __future__ import annotations

from pathlib import Path

from worker.agents.workdir import session_folder


def test_a_session_finds_its_directory_again(tmp_path: Path) -> None:
    folder = session_folder(tmp_path / "a" / "work", "agent:main:openai-user:ann")
    (folder / "note").touch()
    assert (session_folder(tmp_path / "a" / "work", "agent:main:openai-user:ann") / "note").exists()


def test_sessions_do_not_share(tmp_path: Path) -> None:
    assert session_folder(tmp_path, "a") != session_folder(tmp_path, "b")


def test_only_this_user_may_look(tmp_path: Path) -> None:
    root = tmp_path / "work"
    assert session_folder(root, "a").stat().st_mode & 0o777 == 0o700
    assert root.stat().st_mode & 0o777 == 0o700


def test_a_key_is_no_path(tmp_path: Path) -> None:
    """A client chooses the key; whatever is in it, the directory lies in the root."""
    for key in ("../../etc", "/etc", "a/b", ".", "\u2028 \U0001f600"):
        assert session_folder(tmp_path, key).parent == tmp_path
