from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from api.admin.timeline import timeline
from api.monitor.list_pages import QueuePage, QueueShown
from api.monitor.login import Operator
from api.monitor.rendering import Templates
from api.monitor.run_page import timeline_entries
from shared.ledger.operator_views import PauseView, QueuedAgent, QueueView
from shared.run.events import Started
from tests.events import said

EVIL = "<script>alert('1')</script>\"&"
LOAD = {"waiting": 0, "held": 0, "in_line": 0, "running": 0, "oldest_wait_ms": 0}
OLGA, MONA = Operator("olga", True, True), Operator("mona", False, True)


def queue(agent: str = "main", who: str = "olga") -> QueueShown:
    paused = PauseView(since_ms=1, who=who)
    return QueueShown(QueueView(**LOAD, paused=paused, agents=[QueuedAgent(**LOAD, agent=agent, paused=paused)]), 2)


def test_every_value_from_outside_is_escaped() -> None:
    shown = {"view": queue(EVIL, EVIL), "operator": Operator(EVIL, True, True)}
    html = Templates().page(QueuePage.template, **shown, path="/monitor/queue", told=EVIL, stream=EVIL)
    assert "alert(&#39;1&#39;)" in html
    assert "<script>alert" not in html
    assert "alert('1')" not in html


def test_parts_are_what_the_page_has_in_their_place() -> None:
    sheets = Templates()
    html = sheets.page(QueuePage.template, view=queue(), operator=OLGA, path="/", told="", stream="/")
    parts = sheets.parts(QueuePage.template, view=queue(), operator=OLGA)
    assert parts.keys() == {"whole", "agents"}
    for name, part in parts.items():
        assert f'id="{name}"' in html
        assert part.strip() in html


def test_an_operator_who_may_only_look_gets_no_buttons() -> None:
    sheets = Templates()
    assert "<button" in sheets.parts(QueuePage.template, view=queue(), operator=OLGA)["whole"]
    assert "<button" not in "".join(sheets.parts(QueuePage.template, view=queue(), operator=MONA).values())


def test_a_step_of_a_run_is_escaped_too() -> None:
    html = Templates().moments(timeline_entries(timeline(said(Started(attempt=1, worker=EVIL))), 0))
    assert "<script" not in html
    assert "started" in html


def test_a_misspelt_name_is_no_empty_place() -> None:
    with pytest.raises(UndefinedError):
        Templates().page("refusal.html", operator=None, path="")
