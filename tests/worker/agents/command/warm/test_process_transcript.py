from __future__ import annotations

import pytest

from shared.run.run import Part, Turn
from tests.worker.agents.asking import asked
from worker.agents.command.warm.process_transcript import ProcessTranscript


def turns(*contents: str) -> list[Turn]:
    return [Turn(role="assistant" if at % 2 else "user", content=content) for at, content in enumerate(contents)]


INPUT = asked("c", system="Be kind.", history=turns("a", "b"))
TOLD = ProcessTranscript.before(INPUT).and_then(INPUT, "d")


def test_only_the_message_is_new() -> None:
    assert TOLD.is_continued_by(asked("e", system="Be kind.", history=turns("a", "b", "c", "d")))


def test_the_session_has_forgotten_how_it_began() -> None:
    assert TOLD.is_continued_by(asked("e", system="Be kind.", history=turns("c", "d")))


@pytest.mark.parametrize(
    "history",
    [
        (),
        ("a", "b"),
        ("a", "b", "c", "x"),
        ("c", "d", "e", "f"),
        ("x", "a", "b", "c", "d"),
        ("a", "b", "c", "d", "e", "f"),
    ],
)
def test_another_history(history: tuple[str, ...]) -> None:
    assert not TOLD.is_continued_by(asked("e", system="Be kind.", history=turns(*history)))


def test_another_system_prompt() -> None:
    assert not TOLD.is_continued_by(asked("e", history=turns("a", "b", "c", "d")))


def test_who_said_it_counts() -> None:
    history = [Turn(role="assistant", content="c"), Turn(role="user", content="d")]
    assert not TOLD.is_continued_by(asked("e", system="Be kind.", history=history))


def test_a_picture_is_told_in_words() -> None:
    """So it makes no difference whether the session's transcript holds the picture."""
    picture = Turn(role="user", content="Look [image]", parts=(Part(type="image_url", value={"url": "x"}),))
    shown = asked("Look [image]").model_copy(update={"current": (picture,)})
    seen = ProcessTranscript.before(shown).and_then(shown, "I see.")
    history = [picture.model_copy(update={"parts": ()}), Turn(role="assistant", content="I see.")]
    assert seen.is_continued_by(asked("And?", history=history))
    assert seen.is_continued_by(asked("And?", history=[picture, history[1]]))
