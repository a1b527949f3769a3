from __future__ import annotations

import pytest

from shared.run.conversation import Resumed, StoredConversation
from shared.run.events import Cancelled, Completed, Failed, StopReason, Terminal, Tokens
from tests.runs import a_run
from worker.agents.protocol import AgentConversation, EarlierConversation
from worker.attempt.attempt_conversation import AttemptConversation

SPENT = Tokens(prompt_tokens=1)
OWN = AgentConversation(id="c1", place="here", spent=SPENT)


def begun(kept: StoredConversation | None = None, *, system: str = "", agent: str = "main") -> AttemptConversation:
    conversation = AttemptConversation(a_run("s", agent_id=agent, extra_system_prompt=system, keeps_transcript=True))
    conversation.begin(kept)
    return conversation


def left(*, system: str = "") -> StoredConversation:
    """The conversation that a run leaves whose agent answered in OWN."""
    conversation = begun(system=system)
    conversation.note(OWN)
    stored = conversation.left(Completed())
    assert stored is not None
    return stored


def test_a_run_goes_on_in_what_the_one_before_it_has_left() -> None:
    conversation = begun(left())
    assert conversation.earlier == EarlierConversation(id="c1", place="here", spent=SPENT, has_system_prompt=True)
    conversation.note(OWN)
    assert conversation.resumed is Resumed.YES


def test_an_agent_that_has_not_said_so_does_not_go_on() -> None:
    assert begun(left()).resumed is Resumed.FELL_BACK


def test_a_run_that_has_nothing_to_go_on_in_says_so() -> None:
    conversation = begun()
    conversation.note(OWN)
    assert (conversation.earlier, conversation.resumed) == (None, Resumed.NO)


def test_an_agent_that_has_begun_another_conversation_fell_back_and_leaves_that_one() -> None:
    conversation = begun(left())
    conversation.note(AgentConversation(id="c2", place="here"))
    stored = conversation.left(Completed())
    assert (conversation.resumed, stored and stored.id) == (Resumed.FELL_BACK, "c2")


@pytest.mark.parametrize(
    ("before", "now", "has_system"),
    [("Be brief.", "Be brief.", True), ("Be brief.", "Be kind.", False), ("", "Be kind.", False)],
)
def test_a_system_prompt_that_was_not_told_yet_has_to_be(before: str, now: str, has_system: bool) -> None:
    earlier = begun(left(system=before), system=now).earlier
    assert earlier is not None
    assert earlier.has_system_prompt is has_system


def test_what_was_told_cannot_be_taken_back() -> None:
    assert begun(left(system="Be brief.")).earlier is None


def test_agents_do_not_share_conversations() -> None:
    assert begun(left(), agent="other").earlier is None


@pytest.mark.parametrize("terminal", [Failed(code="agent_failed", message=""), Cancelled(reason=StopReason.USER)])
def test_half_a_turn_is_not_gone_on_from(terminal: Terminal) -> None:
    conversation = begun()
    conversation.note(OWN)
    assert conversation.left(terminal) is None


def test_an_agent_that_keeps_no_conversation_leaves_none() -> None:
    assert begun().left(Completed()) is None


def test_a_session_without_a_name_keeps_nothing_and_has_nothing_to_tell() -> None:
    conversation = AttemptConversation(a_run())
    conversation.note(OWN)
    assert (conversation.left(Completed()), conversation.resumed) == (None, None)
