from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.log.packing import BLOCK, BLOCK_BYTES, BLOCK_EVENTS, EVENT, pack, unpack
from shared.run.events import Delta, EventData, Queued, Reasoning, Started, ToolCallDelta, ToolUse, make_event, to_json
from tests.events import RUN_ID, deltas, said

SESSIONS = st.one_of(st.just("s"), st.text(max_size=12), st.sampled_from(['{"seq":7,"ts":8}', '"', "\\", "日本語 🙂"]))
TEXTS = st.one_of(st.text(max_size=12), st.sampled_from(['"', "\\", '\\"', "\n", "\u2028", '{"seq":1,"ts":1,', "🙂"]))
DATA: st.SearchStrategy[EventData] = st.one_of(
    st.builds(Delta, delta=TEXTS, message=st.integers(0, 2)),
    st.builds(Reasoning, delta=TEXTS),
    st.builds(ToolCallDelta, index=st.integers(0, 1), id=st.sampled_from(["", "c1"]), arguments=TEXTS),
    st.builds(ToolUse, phase=st.just("start"), name=TEXTS, args=st.dictionaries(TEXTS, TEXTS | st.none(), max_size=2)),
    st.builds(Started, attempt=st.integers(1, 3), worker=TEXTS),
    st.just(Queued()),
)
# Step to the next number, time and attempt: those of a whole log and others, because the packing does not check them.
PLACES = st.tuples(st.sampled_from([1, 1, 1, 1, 0, 2, 10**18]), st.integers(-3, 10**13), st.integers(0, 2))


@st.composite
def lines(draw: st.DrawFn) -> list[bytes]:
    """Events of one session, as the worker writes them."""
    session, seq, written = draw(SESSIONS), 1, list[bytes]()
    for one, (step, ts, attempt) in draw(st.lists(st.tuples(DATA, PLACES), max_size=30)):
        place = {"run_id": RUN_ID, "session_key": session, "attempt": attempt, "seq": seq, "ts": ts}
        written.append(to_json(make_event(one, **place)))  # type: ignore[arg-type]
        seq += step
    return written


def through(all_lines: list[bytes]) -> list[bytes]:
    entries = list(pack(all_lines))
    whole = [unpack({entry.field: entry.value}) for entry in entries]
    assert [entry.events for entry in entries] == list(map(len, whole))
    return [line for some in whole for line in some]


def written(data: Iterable[EventData]) -> list[bytes]:
    return list(map(to_json, said(*data)))


@given(lines())
def test_events_come_out_as_they_went_in(written: list[bytes]) -> None:
    assert through(written) == written


@given(st.lists(st.text().map(str.encode), max_size=20))
def test_so_does_whatever_a_later_release_writes(written: list[bytes]) -> None:
    assert through(written) == written


@pytest.mark.parametrize(
    "other",
    [
        b'{"v":2,"runId":"r","seq":2,"ts":5,"sessionKey":"s","attempt":1,"stream":"assistant","data":{"delta":"b"},"x":1}',
        b'{"seq":2,"ts":5,"sessionKey":"s","data":{"delta":"b"}}',
        b'{"seq":02,"ts":05,"sessionKey":"s","data":{"delta":"b"}}',
        b'{"seq":2,"ts":-5,"sessionKey":"s","data":{"delta":"b"}}',
        b'{"seq":2,"ts":5.0,"sessionKey":"s","data":{"delta":"b"}}',
        b'{"seq":"2","ts":5,"sessionKey":"s","data":{"delta":["b"]}}',
        b"",
    ],
)
def test_a_line_of_another_form_among_others_stays_as_it_is(other: bytes) -> None:
    first, *rest = written(Delta(delta=text) for text in "abc")
    assert through([first, other, other, *rest]) == [first, other, other, *rest]


def test_there_may_be_none() -> None:
    assert list(pack([])) == []


# --- how small --------------------------------------------------------------------------------------------------------


def size(all_lines: list[bytes]) -> int:
    return sum(len(entry.value) for entry in pack(all_lines))


@pytest.mark.parametrize("session", ["agent:main:openai:1", '{"user": "{7}"}'])
@pytest.mark.parametrize("kind", ["delta", "reasoning", "call"])
def test_of_an_answer_in_small_pieces_little_more_than_its_text_is_kept(session: str, kind: str) -> None:
    random = Random(6)
    texts = ["".join(random.choices("abcdefghijklmnop", k=4)) for _ in range(BLOCK_EVENTS)]
    makers = {
        "delta": lambda text: Delta(delta=text),
        "reasoning": lambda text: Reasoning(delta=text),
        "call": lambda text: ToolCallDelta(index=0, arguments=text),
    }
    ts, answer = 1_700_000_000_000, list[bytes]()
    for seq, text in enumerate(texts, 1):
        ts += random.randint(14, 20)
        place = {"run_id": RUN_ID, "session_key": session, "attempt": 1, "seq": seq, "ts": ts}
        answer.append(to_json(make_event(makers[kind](text), **place)))  # type: ignore[no-untyped-call, arg-type]
    assert size(answer) < sum(map(len, texts)) * 1.2


def test_an_event_among_few_others_is_not_kept_twice() -> None:
    large = written([Delta(delta="".join(Random(6).choices("abcdefgh", k=10_000)))])
    assert size(large + large) < sum(map(len, large + large))


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_a_block_holds_so_many_events() -> None:
    many = list(map(to_json, deltas(*map(str, range(2 * BLOCK_EVENTS + 1)))))
    assert [(entry.events, entry.field) for entry in pack(many)] == [
        (BLOCK_EVENTS, BLOCK),
        (BLOCK_EVENTS, BLOCK),
        (1, EVENT),
    ]


def test_a_block_holds_so_many_bytes() -> None:
    many = written(Delta(delta=str(number) * 16_000) for number in range(10))
    blocks = [unpack({entry.field: entry.value}) for entry in pack(many * 4)]
    assert len(blocks) > 1
    assert all(sum(map(len, block)) <= BLOCK_BYTES for block in blocks)
    assert [line for block in blocks for line in block] == many * 4


def test_what_no_block_can_hold_stays_as_it_is() -> None:
    small, large = written([Delta(delta="a")]), written([Delta(delta="🙂" * BLOCK_BYTES)])
    assert [(entry.events, entry.field) for entry in pack(small * 2 + large + small * 2)] == [
        (2, BLOCK),
        (1, EVENT),
        (2, BLOCK),
    ]


def test_the_worst_that_json_can_make_of_a_block_is_read() -> None:
    worst = [b"\x01" * (BLOCK_BYTES // 2), b'\\"' * (BLOCK_BYTES // 4)]
    assert through(worst) == worst
    least = [b"{}"] * BLOCK_EVENTS
    assert through(least) == least


def column(count: int, text: str = "", shared: str = "") -> bytes:
    return zlib.compress(json.dumps([[[shared, "", "", ""], 1, [1] * count, [text] * count]]).encode())


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"no block",
        zlib.compress(b"no JSON"),
        zlib.compress(b'{"a": 1}'),
        zlib.compress(b'[["a", "b"]]'),
        zlib.compress(b'[[["", "", "", ""], 1, [1, 2], ["a"]]]'),
        zlib.compress(b'["a"]')[:-1],
        zlib.compress(b"[" + b" " * 100_000_000),
        column(BLOCK_EVENTS + 1),
        column(BLOCK_EVENTS, shared="a" * BLOCK_BYTES),
        column(BLOCK_EVENTS, text="a" * 1_000),
    ],
    ids=range(11),
)
def test_what_no_release_has_packed_is_refused(block: bytes) -> None:
    with pytest.raises(ValueError, match=re.compile("block|validation error|zip")):
        unpack({BLOCK: block})


def test_an_agent_cannot_make_the_search_long() -> None:
    """Without its anchors the regular expression would try each of these numbers as the event's own, and match all of
    the rest each time."""
    tricky = [{"seq": 1, "ts": 1, "sessionKey": "s", "data": {"x": number}} for number in range(1_500)]
    tools = written(ToolUse(phase="result", name="t", result=tricky) for _ in range(50))
    assert through(tools) == tools


def test_an_error_says_nothing_of_what_was_said() -> None:
    with pytest.raises(ValueError, match="validation error") as refused:
        unpack({BLOCK: zlib.compress(b'["a secret", {"a": "secret"}]')})
    assert "secret" not in str(refused.value)
