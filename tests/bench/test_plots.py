from __future__ import annotations

from xml.etree.ElementTree import Element, fromstring

import pytest

from bench.plots import plots
from tests.bench.played import RESULTS

PICTURES = plots(RESULTS)


def drawn(name: str) -> Element:
    return fromstring(PICTURES[name])  # noqa: S314 - our own


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_stands_by_itself(name: str) -> None:
    """A page shows the picture as an image, in which a browser loads no other file and runs no script."""
    assert drawn(name).tag.endswith("svg")
    assert not [element for element in drawn(name).iter() if element.tag.endswith(("script", "foreignObject", "image"))]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("waiting", ["ceiling", "naive", "runrelay", "280", "0.2"]),
        ("cpu", ["ceiling", "naive", "runrelay", "24", "500"]),
        ("streams", ["delay p50", "delay p99", "1,000", "900"]),
        ("cores", ["API", "workers", "Redis", "client", "1,000"]),
        ("runs", ["API", "workers", "Redis", "client", "320"]),
    ],
)
def test_a_picture_tells_its_figures(name: str, shown: list[str]) -> None:
    texts = [text.strip() for text in drawn(name).itertext()]
    assert set(shown) <= set(texts)


def test_the_same_figures_make_the_same_picture() -> None:
    assert plots(RESULTS) == PICTURES
