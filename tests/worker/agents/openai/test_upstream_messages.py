from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.run.run import Part, ToolCall, Turn
from tests.worker.agents.asking import asked
from worker.agents.openai.upstream_messages import messages, paired


def user(text: str) -> Turn:
    return Turn(role="user", content=text)


def assistant(text: str = "", *calls: str) -> Turn:
    called = tuple(ToolCall(id=id, name="f", arguments="{}") for id in calls)
    return Turn(role="assistant", content=text, tool_calls=called)


def result(call: str, text: str = "Rain") -> Turn:
    return Turn(role="tool", content=text, tool_call_id=call)


def orphan(text: str = "Rain") -> Turn:
    return Turn(role="tool", content=text)


def test_words_are_sent_as_words() -> None:
    history = (user("Hello"), assistant("Hi."), orphan("42"))
    assert messages(asked("How are you?", system="Be kind.", history=history)) == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "Tool result:\n42"},
        {"role": "user", "content": "How are you?"},
    ]


def test_pictures_keep_their_place() -> None:
    parts = (Part(type="text", value="What is"), Part(type="image_url", value={"url": "http://x", "detail": "low"}))
    current = Turn(role="user", content="What is", parts=parts)
    assert messages(asked("What is").model_copy(update={"current": (current,)})) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is"},
                {"type": "image_url", "image_url": {"url": "http://x", "detail": "low"}},
            ],
        }
    ]


def test_calls_and_results_are_sent_with_their_ids() -> None:
    call = ToolCall(id="c1", name="weather", arguments='{"at": "Rome"}', extra={"extra_content": {"x": 1}})
    history = (user("Weather?"), Turn(role="assistant", content="", tool_calls=(call,)))
    given = asked("Tool result:\n", history=history).model_copy(update={"current": (result("c1", ""),)})
    function = {"name": "weather", "arguments": '{"at": "Rome"}'}
    assert messages(given) == [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": function, "extra_content": {"x": 1}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": ""},
    ]


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        (
            (user("1"), assistant("", "a", "b"), user("2"), result("b"), result("a")),
            (user("1"), assistant("", "a", "b"), result("a"), result("b"), user("2")),
        ),
        ((user("1"), assistant("", "a"), user("2")), (user("1"), user("2"))),
        ((user("1"), assistant("Well.", "a"), user("2")), (user("1"), assistant("Well."), user("2"))),
        ((assistant("", "a", "b"), result("b")), (assistant("", "b"), result("b"))),
        ((result("a"), user("1")), (orphan(), user("1"))),
        (
            (assistant("", "a"), result("a"), assistant("x"), result("a", "late")),
            (assistant("", "a"), result("a"), assistant("x"), orphan("late")),
        ),
        (
            (assistant("", "a"), assistant("", "b"), result("a"), result("b")),
            (assistant("", "a"), result("a"), assistant("", "b"), result("b")),
        ),
        (
            (assistant("", "a"), result("a", "1"), assistant("", "a"), result("a", "2")),
            (assistant("", "a"), result("a", "1"), assistant("", "a"), result("a", "2")),
        ),
    ],
    ids=[
        "a user spoke first",
        "never answered",
        "never answered, with text",
        "one of two answered",
        "without its call",
        "after the next answer",
        "two answers in a row",
        "ids used again",
    ],
)
def test_each_result_stands_behind_its_call(turns: tuple[Turn, ...], expected: tuple[Turn, ...]) -> None:
    assert tuple(paired(turns)) == expected


ids = st.sampled_from("abc")
turns = st.lists(
    st.one_of(
        st.builds(user, st.sampled_from("12")),
        st.builds(lambda text, calls: assistant(text, *calls), st.sampled_from(["", "x"]), st.sets(ids)),
        st.builds(result, ids),
    ),
    max_size=12,
)


@given(turns)
def test_whatever_the_conversation_no_server_has_to_refuse_its_order(conversation: list[Turn]) -> None:
    """Servers check this: all results of calls come right after their calls, and no result is anywhere else."""
    sent = list(paired(conversation))
    assert unanswered(sent) == []
    assert words(sent) == words(conversation)


def words(conversation: Iterable[Turn]) -> list[str]:
    """The texts without the results: results move, and all other messages keep their order."""
    return [turn.content for turn in conversation if turn.role != "tool" and turn.content]


def unanswered(sent: Iterable[Turn]) -> list[str]:
    open_calls, faults = list[str](), list[str]()
    for turn in sent:
        if turn.tool_call_id:
            if turn.tool_call_id in open_calls:
                open_calls.remove(turn.tool_call_id)
            else:
                faults.append(f"no call for {turn.tool_call_id}")
            continue
        faults += [f"no result for {call}" for call in open_calls]
        open_calls = [call.id for call in turn.tool_calls]
    return faults + [f"no result for {call}" for call in open_calls]
