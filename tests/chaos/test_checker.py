"""The checker, on histories made by hand: a good one, and one for each way in which a history can be bad."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from chaos.checker import MUST_BE_ZERO, counted, violations
from chaos.faults import Fault, Spoilt
from chaos.history import ClientRequest, Entry, History, Inspected, Piece, Reading, StoredRun
from chaos.journal import Note
from chaos.script import Order, script
from chaos.service import Exit

ORDER = Order(7, "chatty")
TEXT = script(ORDER).text
TWICE = f"{TEXT[:9]}\n\n{TEXT}"  # the text of a run whose first attempt was lost
RUN = "chatcmpl_7"


def entry(seq: int, **fields: object) -> Entry:
    known: dict[str, object] = {"seq": seq, "stream": "lifecycle", "attempt": 1, "at": seq, "raw": json.dumps(seq)}
    return Entry(**{**known, **fields})  # type: ignore[arg-type]


def start(seq: int, attempt: int = 1) -> Entry:
    return entry(seq, phase="start", attempt=attempt, worker="w")


def text_event(seq: int, text: str, attempt: int = 1, message: int = 0) -> Entry:
    return entry(seq, stream="assistant", delta=text, attempt=attempt, message=message)


def end(seq: int, **fields: object) -> Entry:
    return entry(seq, **{"phase": "end", **fields})


GOOD = (entry(1, phase="queued", attempt=0), start(2), text_event(3, TEXT[:9]), text_event(4, TEXT[9:]), end(5))


def stored(*entries: Entry, **fields: object) -> StoredRun:
    known: dict[str, object] = {
        "run_id": RUN,
        "order": ORDER,
        "agent": "main",
        "session": "s",
        "state": "completed",
        "code": "",
        "attempts": 1,
        "tries": 1,
        "accepted": 0,
        "end_state": "completed",
        "end_text": TEXT,
        "entries": entries,
    }
    return StoredRun(**{**known, **fields})  # type: ignore[arg-type]


def reading(*pieces: Piece, outcome: str = "stop") -> Reading:
    return Reading(ORDER.seed, RUN, list(pieces), outcome)


def events(seqs: Sequence[int], end: str | None = "stop", after: int = 0) -> Piece:
    return Piece("events", seqs=list(seqs), raw={seq: json.dumps(seq) for seq in seqs}, end=end, after=after)


def history(run: StoredRun, *readings: Reading, starts: int = 1, **client: object) -> History:
    client_request = ClientRequest(ORDER, readings=list(readings), **client)  # type: ignore[arg-type]
    notes = [Note("start", RUN, 1, at) for at in range(3, 3 + starts)]
    return History(seed=1, requests=[client_request], stored_runs=[run], notes=notes, faults=[])


def broken(history: History) -> dict[str, int]:
    return {count: size for count, size in counted(violations(history)).items() if size}


def test_a_good_history_has_nothing_against_it() -> None:
    whole = [
        reading(events([1, 2], end=None), events([3, 4, 5], after=2)),
        reading(Piece("chat", TEXT[:4]), Piece("chat", TEXT, end="stop")),
    ]
    assert broken(history(stored(*GOOD), *whole)) == {}


@pytest.mark.parametrize(
    ("run", "count"),
    [
        (stored(*GOOD[:4], state="running", end_state=""), "runs without one end"),
        (stored(*GOOD, end_state="failed"), "runs without one end"),
        (stored(*GOOD, end(6)), "runs without one end"),
        (stored(*GOOD[:4], entry(5, stream="usage")), "runs without one end"),
        (stored(*GOOD[:3], text_event(5, TEXT[9:]), end(6)), "logs with holes"),
        (stored(*GOOD[:2], text_event(3, TEXT[:9]), end(4), end_text=TEXT[:9]), "logs with wrong text"),
        (stored(*GOOD[:3], text_event(4, "other"), end(5), end_text=TEXT[:9] + "other"), "logs with wrong text"),
        (stored(*GOOD, end_text=TEXT[:9]), "logs with wrong text"),
    ],
)
def test_what_a_log_must_not_look_like(run: StoredRun, count: str) -> None:
    assert count in broken(history(run))


def ended_early(
    code: str = "", reason: str = "", agent: str = "main", tries: int = 1, text: str = TEXT[:9]
) -> StoredRun:
    last = end(4, phase="cancelled" if reason else "error", code=code, reason=reason)
    state = "cancelled" if reason else "failed"
    entries = (*GOOD[:2], text_event(3, text), last) if text else (*GOOD[:2], entry(3, stream="tool"), last)
    return stored(*entries, state=state, end_state=state, end_text=text, agent=agent, tries=tries)


@pytest.mark.parametrize(
    ("run", "client"),
    [
        (ended_early("worker_lost"), {}),
        (ended_early("worker_lost", agent="never", text=""), {}),
        (ended_early("worker_lost", tries=4, text=""), {}),
        (ended_early(reason="user"), {"cancelled": True}),
        (ended_early(reason="disconnect"), {"foreground": True, "left_for": 11.0}),
    ],
)
def test_ends_that_are_as_promised(run: StoredRun, client: Mapping[str, Any]) -> None:
    assert broken(history(run, **client)) == {}


@pytest.mark.parametrize(
    ("run", "client"),
    [
        (ended_early("worker_lost", text=""), {}),
        (ended_early("worker_lost", agent="again"), {}),
        (ended_early("internal_error"), {}),
        (ended_early("agent_failed"), {}),
        (ended_early("run_lost"), {}),
        (ended_early(reason="user"), {}),
        (ended_early(reason="disconnect"), {"foreground": True, "left_for": 2.0}),
        (ended_early(reason="disconnect"), {"foreground": False, "left_for": 99.0}),
    ],
)
def test_ends_that_nothing_explains(run: StoredRun, client: Mapping[str, Any]) -> None:
    assert "runs that ended without need" in broken(history(run, **client))


@pytest.mark.parametrize(
    ("run", "starts"),
    [
        (stored(*GOOD, agent="never"), 2),
        (stored(*GOOD), 2),
        (stored(*GOOD[:3], start(4, 2), text_event(5, TEXT, 2, 1), end(6, attempt=2), end_text=TWICE), 2),
    ],
)
def test_an_execution_too_many(run: StoredRun, starts: int) -> None:
    assert "runs executed twice" in broken(history(run, starts=starts))


def test_an_agent_that_may_start_again_may_also_have_spoken() -> None:
    run = stored(*GOOD[:3], start(4, 2), text_event(5, TEXT, 2, 1), end(6, attempt=2), end_text=TWICE, agent="again")
    assert broken(history(run, reading(Piece("chat", TWICE, end="stop")), starts=2)) == {}


def test_a_start_after_the_end() -> None:
    """Only a worker that was paused may start an agent so late."""
    late = replace(history(stored(*GOOD)), notes=[Note("start", RUN, 1, 99)])
    assert broken(late) == {"agents started too late": 1}
    assert broken(replace(late, faults=[Fault("worker_paused", 1, 98, pid=1)])) == {}
    assert broken(replace(late, faults=[Fault("worker_paused", 1, 98, pid=2)])) == {"agents started too late": 1}


@pytest.mark.parametrize(("keyed", "count"), [(True, "requests that"), (False, "keyless requests that")])
def test_one_request_and_two_runs(keyed: bool, count: str) -> None:
    one = history(stored(*GOOD), keyed=keyed)
    two = replace(one, stored_runs=[*one.stored_runs, stored(*GOOD, run_id="chatcmpl_8")])
    assert f"{count} became two runs" in broken(two)


def test_a_run_that_is_not_there_any_more() -> None:
    assert broken(replace(history(stored(*GOOD), reading(outcome="left")), stored_runs=[])) == {"runs lost": 1}


@pytest.mark.parametrize(
    ("pieces", "count", "size"),
    [
        ([events([1, 2, 5])], "events lost", 2),
        ([events([1, 2, 3, 4], end=None), events([4, 5], after=4)], "events repeated", 1),
        ([events([1, 2, 3, 3, 4, 5])], "events repeated", 1),
        ([events([1, 3, 2, 4, 5])], "order violations", 1),
        ([Piece("chat", TEXT[:9], end="stop")], "readers with wrong text", 1),
        ([Piece("chat", TEXT[1:])], "readers with wrong text", 1),
        ([Piece("chat", TEXT + "!", end="stop")], "readers with wrong text", 1),
        ([Piece("resumed", TEXT, seqs=[3, 4, 4, 3], end="stop")], "order violations", 1),
    ],
)
def test_readers_that_got_something_else(pieces: list[Piece], count: str, size: int) -> None:
    assert broken(history(stored(*GOOD), reading(*pieces))) == {count: size}


def test_an_event_that_is_not_as_it_stands_in_the_log() -> None:
    piece = events([1, 2, 3, 4, 5])
    piece.raw[3] = "other"
    assert broken(history(stored(*GOOD), reading(piece))) == {"events that differ from the log": 1}


@pytest.mark.parametrize(
    ("outcome", "count"),
    [("hung", "clients hung"), ("worker_lost", "readers told a wrong end"), ("run_lost", "readers told a wrong end")],
)
def test_readers_that_were_told_something_else(outcome: str, count: str) -> None:
    assert broken(history(stored(*GOOD), reading(outcome=outcome))) == {count: 1}


def test_what_no_client_may_see() -> None:
    bad = reading()
    bad.faults.append("500")
    assert broken(history(stored(*GOOD), bad)) == {"answers that must not be": 1}


def lane(*starts: int) -> History:
    """A session of two runs, the first of which ends at 5."""
    runs = [stored(*GOOD, run_id=f"chatcmpl_{place}", order=Order(place, "mute"), end_text="") for place in range(2)]
    runs = [replace(run, entries=(start(1), end(2, at=at))) for run, at in zip(runs, (5, 9), strict=True)]
    requests = [ClientRequest(Order(place, "mute"), session="s", place=place) for place in range(2)]
    notes = [Note("start", f"chatcmpl_{place}", 1, at) for place, at in enumerate(starts)]
    return History(seed=1, requests=requests, stored_runs=runs, notes=notes, faults=[])


def test_runs_of_a_session() -> None:
    assert broken(lane(1, 6)) == {}
    assert broken(lane(1, 4)) == {"sessions with two runs at once": 1}
    assert broken(lane(4, 1)) == {"sessions out of order": 1}


@pytest.mark.parametrize(
    ("left", "count"),
    [
        ({"processes": ["7 sleep"]}, "processes left"),
        ({"immortal": ["a", "b"]}, "keys without a time to live"),
        ({"waiting": ["queue: x"]}, "runs or readers still waited for"),
        ({"connections": 3}, "connections left"),
        ({"inspected": [Inspected("web-0", 1, healthy=False, served=False)]}, "processes that did not serve"),
        (
            {"inspected": [Inspected("web-0", 1, healthy=True, served=False)]},
            "processes deaf while their health check said 200",
        ),
        ({"exits": [Exit("web-0", 1, "runrelay: these loops are stuck")]}, "processes that ended by themselves"),
        ({"exits": [Exit("web-0", 1, "run.started")]}, "exits without a line that says why"),
        ({"slips": ["Traceback"]}, "things no process may say"),
    ],
)
def test_what_may_not_be_left(left: dict[str, object], count: str) -> None:
    assert count in broken(replace(history(stored(*GOOD)), **left))  # type: ignore[arg-type]


def test_a_process_that_serves_or_says_why_it_ended() -> None:
    served = Inspected("web-0", 1, healthy=True, served=True)
    assert broken(replace(history(stored(*GOOD)), inspected=[served])) == {}
    told = broken(replace(history(stored(*GOOD)), exits=[Exit("web-0", 1, "runrelay: these loops are stuck")]))
    assert told == {"processes that ended by themselves": 1}


def spoilt(order: Order) -> Fault:
    return Fault("record_spoilt", 1, 2, spoilt=Spoilt(RUN, order))


def test_a_spoilt_run_may_end_as_it_can_but_its_client_learns_of_it() -> None:
    faults = [spoilt(ORDER)]
    assert broken(replace(history(stored(*GOOD), reading(outcome="unreadable")), faults=faults)) == {}
    assert broken(replace(history(stored(*GOOD), reading(outcome="hung")), faults=faults)) == {"clients hung": 1}


def test_a_spoilt_run_excuses_no_other() -> None:
    other = Fault("record_spoilt", 1, 2, spoilt=Spoilt("chatcmpl_8", Order(8, "mute")))
    lost = Reading(ORDER.seed, outcome="unreadable")
    assert broken(replace(history(stored(*GOOD), lost), faults=[other])) == {"answers that must not be": 1}


def test_every_count_is_known() -> None:
    assert set(counted([])) == set(MUST_BE_ZERO)
