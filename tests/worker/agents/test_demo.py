from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.run.events import Delta
from tests.worker.agents.asking import answer, asked, said
from worker.agents.demo import GREETING, SLOW_WORDS, DemoAgent


async def test_it_says_that_it_is_the_demo_and_streams_the_message_back() -> None:
    events = await said(DemoAgent(word_seconds=0), asked("one two"))
    assert events == [Delta(delta=GREETING), Delta(delta="one ", message=1), Delta(delta="two", message=1)]


@given(st.text())
async def test_it_says_back_exactly_what_it_was_told(message: str) -> None:
    expected = f"{GREETING}\n\n{message}" if message else GREETING
    assert await answer(DemoAgent(word_seconds=0), asked(message)) == expected


async def test_a_long_message_does_not_take_for_ever() -> None:
    events = await said(DemoAgent(word_seconds=0), asked("word " * 10_000))
    assert len(events) == 1 + SLOW_WORDS
