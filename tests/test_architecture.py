"""docs/architecture.md leads to what is there."""

from __future__ import annotations

import re
from pathlib import Path

from shared.run.states import MOVES
from tests.test_imports import FLOORS, ROOT

PAGE = (ROOT / "docs/architecture.md").read_text()
TOPS = ("api", "bench", "chaos", "cli", "docs", "local", "shared", "tests", "worker")


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def test_each_file_and_folder_that_it_names_is_there() -> None:
    paths = re.findall(rf"`((?:{'|'.join(TOPS)})/[\w./-]*)`", PAGE)
    assert len(paths) > 40
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_each_name_is_in_the_file_that_it_is_said_to_be_in() -> None:
    named = re.findall(r"`(\w+)` in `([\w/]+\.py)`", PAGE)
    assert len(named) > 5
    assert [name for name, file in named if not re.search(rf"\b{name}\b", (ROOT / file).read_text())] == []


def test_each_room_is_in_the_picture_in_the_order_of_its_floor() -> None:
    picture = section("Rooms and floors")
    for package, floors in FLOORS.items():
        column = picture[picture.index(f"{package}/") :]
        places = [column.index(f"  {room}/ ") for room in reversed(floors)]
        assert places == sorted(places), package


def test_the_life_of_a_run_is_the_table_that_redis_is_given() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", section("The life of a run"), re.MULTILINE)
    assert sorted(rows) == sorted((state.value, to.value) for state, targets in MOVES.items() for to in targets)


def test_the_readme_leads_to_it() -> None:
    assert "docs/architecture.md" in Path(ROOT / "README.md").read_text()
