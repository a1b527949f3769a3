from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from worker.agents.command.warm.ready_folder import ReadyFolder, sweep


def entries(folder: Path) -> set[Path]:
    return set(folder.iterdir())


def test_it_is_new_and_only_this_user_may_look(tmp_path: Path) -> None:
    root = tmp_path / "a" / "work"
    fresh, other = ReadyFolder(root), ReadyFolder(root)
    assert fresh.path != other.path
    assert (fresh.path.stat().st_mode & 0o777, root.stat().st_mode & 0o777) == (0o700, 0o700)
    fresh.close()
    other.close()
    assert entries(root) == set()


def test_it_becomes_a_sessions_and_is_found_by_both_names(tmp_path: Path) -> None:
    fresh = ReadyFolder(tmp_path)
    (fresh.path / "early").touch()
    assert fresh.become("name", lasting=True)
    (fresh.path / "late").touch()
    assert entries(tmp_path / "name") == {tmp_path / "name" / "early", tmp_path / "name" / "late"}
    assert not (tmp_path / "name").is_symlink()
    fresh.close()
    assert entries(tmp_path) == {tmp_path / "name", fresh.path}


def test_of_a_session_that_cannot_come_back_the_old_name_goes_with_the_process(tmp_path: Path) -> None:
    fresh = ReadyFolder(tmp_path)
    assert fresh.become("name", lasting=False)
    assert (tmp_path / fresh.path.name).is_dir()
    fresh.close()
    assert entries(tmp_path) == {tmp_path / "name"}


def test_a_link_to_nothing_is_not_left(tmp_path: Path) -> None:
    fresh = ReadyFolder(tmp_path)
    assert fresh.become("name", lasting=True)
    (tmp_path / "name").rmdir()
    fresh.close()
    assert entries(tmp_path) == set()


def test_a_session_that_has_files_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "name").mkdir()
    (tmp_path / "name" / "mine").touch()
    fresh = ReadyFolder(tmp_path)
    assert not fresh.become("name", lasting=True)
    fresh.close()
    assert entries(tmp_path / "name") == {tmp_path / "name" / "mine"}
    assert entries(tmp_path) == {tmp_path / "name"}


def test_a_root_that_was_moved_keeps_both_names(tmp_path: Path) -> None:
    fresh = ReadyFolder(tmp_path / "work")
    assert fresh.become("name", lasting=True)
    (tmp_path / "work").rename(tmp_path / "moved")
    assert (tmp_path / "moved" / fresh.path.name).is_dir()


# --- what is left over ------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from worker.agents.command.warm.ready_folder import ReadyFolder
fresh = ReadyFolder(Path(sys.argv[1]))
(fresh.path / "note").touch()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_what_a_killed_worker_has_left_is_removed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert len(entries(tmp_path)) == 1
    sweep(tmp_path)
    assert entries(tmp_path) == set()


def test_what_is_in_use_stays(tmp_path: Path) -> None:
    (tmp_path / "name").mkdir()
    ready, taken = ReadyFolder(tmp_path), ReadyFolder(tmp_path)
    assert taken.become("name", lasting=True)
    sweep(tmp_path)
    assert entries(tmp_path) == {tmp_path / "name", taken.path, ready.path}
    ready.close()


def test_a_link_to_a_session_that_is_gone_is_removed(tmp_path: Path) -> None:
    fresh = ReadyFolder(tmp_path)
    assert fresh.become("name", lasting=True)
    (tmp_path / "name").rmdir()
    sweep(tmp_path)
    assert entries(tmp_path) == set()


def test_where_there_is_nothing_nothing_is_swept(tmp_path: Path) -> None:
    sweep(tmp_path / "no such")
    assert entries(tmp_path) == set()


def test_what_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        ReadyFolder(tmp_path / "file")
