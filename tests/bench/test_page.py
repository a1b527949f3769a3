from __future__ import annotations

from pathlib import Path

import pytest

from bench.page import BEGIN, END, PAGE, figures, filled, publish, recorded
from tests.bench.played import RECORD, TITLES

WRITTEN = f"# By hand\n\n{BEGIN}\nold\n{END}\n\n## By hand, too\n"


def test_figures_go_between_the_comments_and_all_else_stays() -> None:
    page = filled(WRITTEN, "new")
    assert page == f"# By hand\n\n{BEGIN}\n\nnew\n\n{END}\n\n## By hand, too\n"
    assert filled(page, "new") == page


@pytest.mark.parametrize(
    "spoilt",
    ["", BEGIN, END, f"{END}\n{BEGIN}", f"{BEGIN}\n{WRITTEN}", f"{WRITTEN}\n{END}"],
    ids=["none", "no end", "no begin", "turned round", "two begins", "two ends"],
)
def test_a_page_without_one_place_for_them_is_refused_and_left_as_it_is(tmp_path: Path, spoilt: str) -> None:
    page = tmp_path / "performance.md"
    page.write_text(spoilt)
    with pytest.raises(ValueError, match="figures go between them"):
        publish(RECORD, TITLES, page)
    assert page.read_text() == spoilt
    assert list(tmp_path.iterdir()) == [page]


def test_a_page_names_the_pictures_that_lie_beside_it(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(WRITTEN)
    publish(RECORD, TITLES, page)
    pictures = [path.relative_to(tmp_path).as_posix() for path in (tmp_path / "performance").iterdir()]
    assert len(pictures) == 5
    for picture in pictures:
        assert f"]({picture})" in page.read_text()


def test_a_page_is_made_again_of_what_lies_beside_it(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(WRITTEN)
    publish(RECORD, TITLES, page)
    assert recorded(page) == RECORD


def test_the_page_tells_what_was_measured() -> None:
    """The figures of the page are those of its JSON. After a change of the report, run `python -m bench --again`."""
    assert figures(recorded(), TITLES) in PAGE.read_text()
