from __future__ import annotations

import pytest

from shared.run.conversation import Conversation, Resumed
from shared.run.events import Cancelled, Completed, Failed, Stop, Terminal, Tokens
from tests.runs import a_run
from worker.agents.protocol import Earlier, OwnConversation
from worker.attempt.continuity import Continuity

SPENT = Tokens(prompt_tokens=1)
OWN = OwnConversation(id="c1", place="here", spent=SPENT)


def begun(kept: Conversation | None = None, *, system: str = "", agent: str = "main") -> Continuity:
    continuity = Continuity(a_run("s", agent_id=agent, extra_system_prompt=system, keeps_transcript=True))
    continuity.begin(kept)
    return continuity


def left(*, system: str = "") -> Conversation:
    """What a run has left that answered in OWN."""
    continuity = begun(system=system)
    continuity.note(OWN)
    conversation = continuity.left(Completed())
    assert conversation is not None
    return conversation


def test_a_run_goes_on_in_what_the_one_before_it_has_left() -> None:
    continuity = begun(left())
    assert continuity.earlier == Earlier(id="c1", place="here", spent=SPENT, system_told=True)
    continuity.note(OWN)
    assert continuity.resumed is Resumed.YES


def test_an_agent_that_has_not_said_so_does_not_go_on() -> None:
    assert begun(left()).resumed is Resumed.FELL_BACK


def test_a_run_that_has_nothing_to_go_on_in_says_so() -> None:
    continuity = begun()
    continuity.note(OWN)
    assert (continuity.earlier, continuity.resumed) == (None, Resumed.NO)


def test_an_agent_that_has_begun_another_conversation_fell_back_and_leaves_that_one() -> None:
    continuity = begun(left())
    continuity.note(OwnConversation(id="c2", place="here"))
    conversation = continuity.left(Completed())
    assert (continuity.resumed, conversation and conversation.id) == (Resumed.FELL_BACK, "c2")


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [("Be brief.", "Be brief.", True), ("Be brief.", "Be kind.", False), ("", "Be kind.", False)],
)
def test_a_system_prompt_that_was_not_told_yet_has_to_be(before: str, now: str, told: bool) -> None:
    earlier = begun(left(system=before), system=now).earlier
    assert earlier is not None
    assert earlier.system_told is told


def test_what_was_told_cannot_be_taken_back() -> None:
    assert begun(left(system="Be brief.")).earlier is None


def test_agents_do_not_share_conversations() -> None:
    assert begun(left(), agent="other").earlier is None


@pytest.mark.parametrize("terminal", [Failed(code="agent_failed", message=""), Cancelled(reason=Stop.USER)])
def test_half_a_turn_is_not_gone_on_from(terminal: Terminal) -> None:
    continuity = begun()
    continuity.note(OWN)
    assert continuity.left(terminal) is None


def test_an_agent_that_keeps_no_conversation_leaves_none() -> None:
    assert begun().left(Completed()) is None


def test_a_session_without_a_name_keeps_nothing_and_has_nothing_to_tell() -> None:
    continuity = Continuity(a_run())
    continuity.note(OWN)
    assert (continuity.left(Completed()), continuity.resumed) == (None, None)
