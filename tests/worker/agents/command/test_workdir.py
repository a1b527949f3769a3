from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from shared.run.errors import ErrorCode, RunError
from worker.agents.command.workdir import folder_name, is_fresh_folder, is_session_folder, session_folder

ANN = "agent:main:openai-user:ann"


@contextmanager
def sleeper() -> Iterator[None]:
    """A process that inherits every inheritable descriptor."""
    with subprocess.Popen(["sleep", "600"], close_fds=False) as process:
        yield
        process.kill()


async def test_a_session_finds_its_directory_again(tmp_path: Path) -> None:
    async with session_folder(tmp_path / "a" / "work", ANN) as folder:
        (folder / "note").touch()
    async with session_folder(tmp_path / "a" / "work", ANN) as folder:
        assert (folder / "note").exists()


async def test_sessions_do_not_share(tmp_path: Path) -> None:
    async with session_folder(tmp_path, "a") as one, session_folder(tmp_path, "b") as other:
        assert one != other


async def test_attempts_at_one_session_share(tmp_path: Path) -> None:
    """A lost worker may still run the agent while another worker has begun."""
    async with session_folder(tmp_path, ANN) as folder:
        async with session_folder(tmp_path, ANN) as same:
            assert folder == same
        assert folder.is_dir(), "the first to leave has removed it, because it was empty"


async def test_only_this_user_may_look(tmp_path: Path) -> None:
    root = tmp_path / "work"
    async with session_folder(root, ANN) as folder:
        assert [stat.S_IMODE(path.stat().st_mode) for path in (root, folder)] == [0o700, 0o700]


@pytest.mark.parametrize("key", ["../../etc", "/etc", "a/b", ".", "\u2028 \U0001f600"])
async def test_a_key_is_no_path(tmp_path: Path, key: str) -> None:
    """A client chooses the key. For any key, the directory is inside the root."""
    async with session_folder(tmp_path, key) as folder:
        assert folder.parent == tmp_path


async def test_what_was_left_empty_is_not_kept(tmp_path: Path) -> None:
    async with session_folder(tmp_path, ANN) as folder:
        pass
    assert not folder.exists()


async def test_the_last_use_is_seen_at_the_directory(tmp_path: Path) -> None:
    """The begin of a use sets the time, because a killed worker cannot record the end. The end sets it again, although
    the agent may have unpacked files with old times there."""
    async with session_folder(tmp_path, ANN) as folder:
        (folder / "note").touch()
        os.utime(folder, (0, 0))
    assert folder.stat().st_mtime > 0
    os.utime(folder, (0, 0))
    async with session_folder(tmp_path, ANN):
        assert folder.stat().st_mtime > 0


@pytest.mark.slow
async def test_what_is_started_in_it_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A process keeps the descriptors that it inherited until it ends, and it may outlive its run."""
    with ExitStack() as stack:
        async with session_folder(tmp_path, ANN) as folder:
            stack.enter_context(sleeper())
        assert not folder.exists()


async def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / folder_name(ANN)).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError) as refused:
        async with session_folder(tmp_path, ANN):
            pass
    assert refused.value.code is ErrorCode.AGENT_FAILED
    assert str(tmp_path) in refused.value.detail
    assert str(tmp_path) not in refused.value.message


async def test_a_root_that_cannot_be_made_fails_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="no directory to work in"):
        async with session_folder(tmp_path / "file", ANN):
            pass


COME_AND_GO = """
import sys
from pathlib import Path
import anyio
from worker.agents.command.workdir import session_folder

async def work():
    for _ in range(1000):
        async with session_folder(Path(sys.argv[1]), "ann") as folder:
            (folder / sys.argv[2]).touch()
            (folder / sys.argv[2]).unlink()

anyio.run(work)
"""


@pytest.mark.slow
def test_workers_come_and_go_at_once_and_each_has_it_while_it_works(tmp_path: Path) -> None:
    """Each worker leaves the directory empty, so that it is removed whenever no worker is in it. The workers are
    processes, because only processes can act between two system calls of another."""
    commands = [[sys.executable, "-c", COME_AND_GO, str(tmp_path), name] for name in "abc"]
    with ExitStack() as stack:
        workers = [stack.enter_context(subprocess.Popen(command)) for command in commands]
        assert [worker.wait() for worker in workers] == [0, 0, 0]
    assert list(tmp_path.iterdir()) == []


def test_a_session_that_ends_with_its_run_is_seen_at_the_name() -> None:
    fresh = folder_name(f"agent:main:openai:{uuid4()}")
    assert (is_session_folder(fresh), is_fresh_folder(fresh)) == (True, True)
    assert (is_session_folder(folder_name(ANN)), is_fresh_folder(folder_name(ANN))) == (True, False)
