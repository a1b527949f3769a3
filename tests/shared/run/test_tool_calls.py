from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from shared.run.events import ToolCallDelta
from shared.run.run import ToolCall
from shared.run.tool_calls import ToolCallAssembler


def whole(*pieces: ToolCallDelta) -> tuple[ToolCall, ...]:
    calls = ToolCallAssembler()
    for piece in pieces:
        calls.add(piece)
    assert len(calls) == len(calls.whole)
    return calls.whole


def test_nothing_was_called() -> None:
    assert not ToolCallAssembler()
    assert whole() == ()


def test_pieces_become_calls_in_the_order_of_their_numbers() -> None:
    extra = {"signature": "x"}
    assert whole(
        ToolCallDelta(index=0, id="a", name="ls", arguments='{"p'),
        ToolCallDelta(index=1, id="b", name="pwd", extra=extra),
        ToolCallDelta(index=0, arguments='": 1}'),
        ToolCallDelta(index=1, arguments="{}"),
    ) == (
        ToolCall(id="a", name="ls", arguments='{"p": 1}'),
        ToolCall(id="b", name="pwd", arguments="{}", extra=extra),
    )


@given(st.lists(st.text(), min_size=1), st.lists(st.text(), min_size=1), st.randoms())
def test_however_they_are_split_and_mixed_the_calls_are_the_same(
    one: list[str], other: list[str], random: Random
) -> None:
    pieces = [
        ToolCallDelta(index=0, id="a", name="f", arguments=one[0]),
        ToolCallDelta(index=1, id="b", name="g", arguments=other[0]),
    ]
    rests = [[ToolCallDelta(index=n, arguments=text) for text in texts[1:]] for n, texts in enumerate((one, other))]
    while any(rests):
        rest = random.choice([rest for rest in rests if rest])
        pieces.append(rest.pop(0))
    assert [call.arguments for call in whole(*pieces)] == ["".join(one), "".join(other)]
