from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import anyio
import pytest
import structlog
from anyio import open_process, run_process, to_thread

from shared.observe.supervision import Beat
from tests.worker.agents.asking import until
from worker.agents.command.workdir import session_folder
from worker.agents.command.workdir_expiry import FRESH_TTL_SECONDS, Expiry, delete

pytestmark = pytest.mark.slow

ANN = "agent:main:openai-user:ann"
DAY = 86_400.0


async def used(root: Path, key: str = ANN, *, ago: float = 0) -> Path:
    """A directory with a file in it."""
    async with session_folder(root, key) as folder:
        (folder / "note").touch()
    age(folder, ago)
    return folder


def age(folder: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(folder, (then, then))


def names(root: Path) -> set[str]:
    return {entry.name for entry in root.iterdir()}


async def swept(root: Path, ttl: float = DAY) -> None:
    await Expiry(root, ttl).sweep()


async def test_what_was_not_used_for_long_goes_and_the_rest_stays(tmp_path: Path) -> None:
    old, young = await used(tmp_path, "old", ago=DAY + 60), await used(tmp_path, "young", ago=DAY - 60)
    await swept(tmp_path)
    assert (old.exists(), young.exists()) == (False, True)


async def test_a_session_that_ends_with_its_run_is_kept_for_an_hour_at_most(tmp_path: Path) -> None:
    old = await used(tmp_path, f"agent:main:openai:{uuid4()}", ago=FRESH_TTL_SECONDS + 60)
    young = await used(tmp_path, f"agent:main:openai:{uuid4()}", ago=FRESH_TTL_SECONDS - 60)
    await swept(tmp_path)
    assert (old.exists(), young.exists()) == (False, True)
    await swept(tmp_path, ttl=60)
    assert not young.exists()


async def test_who_keeps_everything_sweeps_nothing(tmp_path: Path) -> None:
    folder = await used(tmp_path, f"agent:main:openai:{uuid4()}", ago=DAY)
    await Expiry(tmp_path, 0).sweep_forever(Beat())
    assert folder.exists()


async def test_it_sweeps_again_and_again(tmp_path: Path) -> None:
    async with anyio.create_task_group() as sweeping:
        sweeping.start_soon(Expiry(tmp_path, 0.001).sweep_forever, Beat())
        for _ in range(2):
            folder = await used(tmp_path, ago=DAY)
            await until(lambda folder=folder: not folder.exists())  # type: ignore[misc]
        sweeping.cancel_scope.cancel()


async def test_where_no_session_was_yet_there_is_nothing_to_do(tmp_path: Path) -> None:
    await swept(tmp_path / "work")


async def test_a_root_that_cannot_be_read_is_told_and_ends_no_worker(tmp_path: Path) -> None:
    (tmp_path / "work").touch()
    with structlog.testing.capture_logs() as told:
        await swept(tmp_path / "work")
    assert [line["event"] for line in told] == ["workdir.unreadable"]


# --- in use -----------------------------------------------------------------------------------------------------------


async def test_what_is_in_use_stays_however_long_and_counts_as_used(tmp_path: Path) -> None:
    """Another worker uses it, and it cannot record the end of that use when it is killed."""
    source = (
        "import anyio, sys; from pathlib import Path; from worker.agents.command.workdir import session_folder\n"
        "async def work():\n"
        "    async with session_folder(Path(sys.argv[1]), sys.argv[2]) as folder:\n"
        "        (folder / 'note').touch(); print(folder, end='', flush=True); await anyio.sleep_forever()\n"
        "anyio.run(work)"
    )
    async with await open_process([sys.executable, "-c", source, tmp_path, ANN]) as worker:
        assert worker.stdout is not None
        folder = Path((await worker.stdout.receive()).decode())
        age(folder, 9 * DAY)
        await swept(tmp_path)
        assert (folder / "note").exists()
        worker.kill()
    await swept(tmp_path)
    assert names(tmp_path) == {folder.name}
    age(folder, 9 * DAY)
    await swept(tmp_path)
    assert names(tmp_path) == set()


async def test_a_run_that_begins_in_the_middle_of_a_sweep_has_a_directory(tmp_path: Path) -> None:
    """Two sweepers remove every directory while sessions come and go. No session loses one in which it works."""
    going = True

    async def sweep() -> None:
        while going:
            await swept(tmp_path, ttl=1e-6)

    async def work(key: str) -> None:
        for turn in range(30):
            async with session_folder(tmp_path, key) as folder:
                note = folder / f"{uuid4()}"
                note.write_text(str(turn))
                age(folder, DAY)
                await to_thread.run_sync(note.stat)
                assert note.read_text() == str(turn)

    async with anyio.create_task_group() as sweepers:
        sweepers.start_soon(sweep)
        sweepers.start_soon(sweep)
        async with anyio.create_task_group() as runs:
            for key in ("ann", "ann", "bob", "bob"):
                runs.start_soon(work, key)
        going = False
    await swept(tmp_path, ttl=1e-6)
    assert names(tmp_path) == set()


# --- what is not ours -------------------------------------------------------------------------------------------------


async def test_other_files_in_the_root_stay(tmp_path: Path) -> None:
    for name in ("notes", "0" * 63, "G" * 64):
        (tmp_path / name).mkdir()
        age(tmp_path / name, 9 * DAY)
    (tmp_path / ("0" * 64)).touch()
    age(tmp_path / ("0" * 64), 9 * DAY)
    await swept(tmp_path)
    assert len(names(tmp_path)) == 4


async def test_no_link_is_followed_out_of_the_root(tmp_path: Path) -> None:
    root, mine = tmp_path / "work", tmp_path / "mine"
    (mine / "deep").mkdir(parents=True)
    (mine / "deep" / "note").touch()
    mine.chmod(0o500)
    folder = await used(root)
    (folder / "way out").symlink_to(mine)
    (folder / "file").symlink_to(mine / "deep" / "note")
    age(folder, 9 * DAY)
    (root / ("0" * 64)).symlink_to(mine)
    (root / "removed-0").symlink_to(mine)
    age(mine, 9 * DAY)
    await swept(root)
    assert not folder.exists()
    assert (mine / "deep" / "note").exists()
    assert mine.stat().st_mode & 0o777 == 0o500


# --- what is hard to remove -------------------------------------------------------------------------------------------


async def test_what_a_stopped_worker_had_begun_to_delete_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "removed-0" / "rest").mkdir(parents=True)
    await swept(tmp_path)
    assert names(tmp_path) == set()


async def test_directories_of_any_depth_are_deleted(tmp_path: Path) -> None:
    """This one is deeper than Python's stack, and its path is longer than the kernel allows."""
    folder = await used(tmp_path)
    source = "import os\nfor _ in range(3000): os.mkdir('deep'); os.chdir('deep')"
    await run_process([sys.executable, "-c", source], cwd=folder)
    age(folder, 9 * DAY)
    await swept(tmp_path)
    assert names(tmp_path) == set()


@pytest.fixture
def no_root() -> Iterator[Path]:
    """A directory of a user to whom permissions apply, which is not the case for root."""
    folder = Path(tempfile.mkdtemp())
    if as_root := os.geteuid() == 0:
        os.chown(folder, 65534, -1)
        os.seteuid(65534)
    yield folder
    if as_root:
        os.seteuid(0)
    subprocess.run(["chmod", "-R", "u+rwx", folder], check=True)
    shutil.rmtree(folder)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    folder.chmod(0o500)
    yield
    folder.chmod(0o700)


@pytest.mark.parametrize("locked", [".", "note", "sub", "sub/sub"])
async def test_what_an_agent_has_locked_itself_out_of_is_deleted(no_root: Path, locked: str) -> None:
    folder = await used(no_root)
    (folder / "sub" / "sub" / "sub").mkdir(parents=True)
    (folder / locked).chmod(0)
    with pytest.raises(PermissionError):
        list((folder / locked).iterdir()) if (folder / locked).is_dir() else (folder / locked).read_bytes()
    age(folder, 9 * DAY)
    await swept(no_root)
    assert names(no_root) == set()


async def test_a_session_that_has_locked_itself_out_gets_in_again(no_root: Path) -> None:
    (await used(no_root)).chmod(0)
    async with session_folder(no_root, ANN) as folder:
        assert (folder / "note").exists()


async def test_what_cannot_be_deleted_is_told_and_holds_up_nothing_else(no_root: Path) -> None:
    stuck = await used(no_root, "stuck", ago=9 * DAY)
    await used(no_root, "other", ago=9 * DAY)
    expiry = Expiry(no_root, DAY)
    with structlog.testing.capture_logs() as told, read_only(no_root):
        await expiry.sweep()
    assert [line["event"] for line in told] == ["workdir.left"] * 2
    assert {line["folder"] for line in told} >= {stuck.name}
    assert all("Permission denied" in line["why"] for line in told)
    await expiry.sweep()
    assert names(no_root) == set()


def test_what_rm_complains_of_is_raised(no_root: Path) -> None:
    (no_root / "a" / "b").mkdir(parents=True)
    with read_only(no_root), pytest.raises(subprocess.CalledProcessError):
        delete(no_root / "a")
