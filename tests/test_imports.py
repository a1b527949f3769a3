"""Checks the laws of the tree: the imports of each module, the readers of the environment, the effects of an import."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("api", "cli", "worker", "shared", "local")
FILES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))

# Our packages that each package may import, besides itself.
ALLOWED = {
    "api": {"shared"},
    "cli": {"shared"},
    "worker": {"shared"},
    "shared": set(),
    "local": {"shared", "api", "worker"},
}

# The rooms of a package from the ground up: a room imports those below it only. A file beside the rooms, such as
# `api/app.py`, is above them all.
FLOORS = {
    "shared": ("run", "redis", "log", "ledger", "observe"),
    "api": ("http", "relay", "fleet", "intake", "chat", "runs", "admin", "monitor", "openapi"),
    "worker": ("agents", "attempt", "claim"),
}


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def nodes(file: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(file.read_text(), str(file)))


def imported(file: Path) -> set[str]:
    """Every module that the file imports, at its top or in a function."""
    found = set()
    for node in nodes(file):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


MODULES = {name_of(file).removesuffix(".__init__") for file in FILES}


def imported_modules(file: Path) -> set[str]:
    """Our modules that the file imports: a name may be a module, or a name in a module."""
    return {name if name in MODULES else name.rpartition(".")[0] for name in imported(file)} & MODULES


def floor_of(module: str) -> int:
    package, _, rest = module.partition(".")
    rooms = FLOORS[package]
    room = rest.partition(".")[0]
    return rooms.index(room) if room in rooms else len(rooms)


def reads_environment(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="os"), attr="environ" | "environb" | "getenv" | "getenvb"):
            return True
        case ast.ImportFrom(module="os", names=names):
            return any(alias.name in {"environ", "environb", "getenv", "getenvb"} for alias in names)
    return False


def is_broad(node: ast.AST) -> bool:
    if not isinstance(node, ast.ExceptHandler):
        return False
    if node.type is None:
        return True
    return any(isinstance(part, ast.Name) and part.id in {"Exception", "BaseException"} for part in ast.walk(node.type))


def places(found: Iterator[tuple[Path, ast.AST]]) -> list[str]:
    return [f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}" for file, node in found]


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_package_imports_only_what_it_may(file: Path) -> None:
    package = file.relative_to(ROOT).parts[0]
    ours = {name.partition(".")[0] for name in imported(file)} & set(PACKAGES)
    assert ours <= ALLOWED[package] | {package}


@pytest.mark.parametrize("file", [file for file in FILES if file.relative_to(ROOT).parts[0] in FLOORS], ids=name_of)
def test_no_import_runs_upwards(file: Path) -> None:
    package = file.relative_to(ROOT).parts[0]
    mine = floor_of(name_of(file))
    inside = {module for module in imported_modules(file) if module.startswith(f"{package}.")}
    assert {module for module in inside if floor_of(module) > mine} == set()


def test_rooms_of_agents_do_not_know_each_other() -> None:
    """What two kinds of agent need stands beside their rooms."""
    rooms = {f"worker.agents.{file.parent.name}" for file in (ROOT / "worker/agents").glob("*/__init__.py")}
    leaks = {
        (name_of(file), module)
        for room in rooms
        for file in (ROOT / room.replace(".", "/")).rglob("*.py")
        for module in imported_modules(file)
        if any(module.startswith(f"{other}.") for other in rooms - {room})
    }
    assert (len(rooms), leaks) == (3, set())


def test_every_room_has_its_floor() -> None:
    """A new folder needs a place in the order."""
    rooms = {package: {file.parent.name for file in (ROOT / package).glob("*/__init__.py")} for package in FLOORS}
    assert rooms == {package: set(floors) for package, floors in FLOORS.items()}


def test_no_imports_run_in_a_circle() -> None:
    graph = {
        name_of(file).removesuffix(".__init__"): imported_modules(file)
        for file in FILES
        if "local" not in file.relative_to(ROOT).parts
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_only_an_entry_point_reads_the_environment() -> None:
    readers = ((file, node) for file in FILES if file.name != "__main__.py" for node in nodes(file))
    assert places((file, node) for file, node in readers if reads_environment(node)) == []


def test_two_broad_excepts_in_the_whole_project() -> None:
    """One is in the worker's job, where any failure of an agent becomes a failed run; the other starts loops again."""
    handlers = ((file, node) for file in FILES for node in nodes(file))
    found = places((file, node) for file, node in handlers if is_broad(node))
    assert [place.partition(":")[0] for place in found] == [
        "shared/observe/supervision.py",
        "worker/attempt/job.py",
    ], found


def test_no_test_patches_anything() -> None:
    """A test passes its fakes in."""
    files = sorted(file for file in (ROOT / "tests").rglob("*.py") if "node_modules" not in file.parts)
    patches = ((file, node) for file in files for node in nodes(file))
    found = places(
        (file, node)
        for file, node in patches
        if (isinstance(node, ast.arg) and node.arg == "monkeypatch")
        or (isinstance(node, ast.ImportFrom) and node.module == "unittest.mock")
        or (isinstance(node, ast.Import) and any(alias.name.startswith("unittest.mock") for alias in node.names))
    )
    assert found == []


IMPORT_ALL = """
import importlib, sys

PROBE = ("::1", 0)  # urllib3, which LangGraph imports, binds it to find out whether there is IPv6

DENIED = {"socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.fork", "os.exec"}

def deny(event, args):
    if event in DENIED and args[1:] != (PROBE,):
        raise SystemExit(f"an import does {event} {args}")

names = sys.argv[1:]
sys.addaudithook(deny)
for name in names:
    importlib.import_module(name)
    print(name)
"""


@pytest.mark.slow
def test_importing_every_module_connects_to_nothing_and_starts_nothing() -> None:
    names = [name_of(file).removesuffix(".__init__") for file in FILES]
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_ALL, *names], cwd=ROOT, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == names
