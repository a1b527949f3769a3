from __future__ import annotations

import pytest

from api.runs.run_view import RunFailure, summary, whole
from shared.ledger.run_record import RunRecord
from shared.log.event_log import Head
from shared.run.conversation import Resumed, StoredConversation
from shared.run.events import StopReason, Tokens
from shared.run.run import End, ToolCall
from shared.run.states import State
from tests.api.played import RUN

QUEUED = RunRecord(
    v=1,
    run=RUN,
    run_id=RUN.run_id,
    agent=RUN.agent_id,
    session=RUN.session_key,
    owner=RUN.owner,
    created_ms=RUN.created_ms,
    foreground=True,
    state=State.QUEUED,
    queued_ms=10,
)
RUNNING = QUEUED.model_copy(update={"state": State.RUNNING, "attempt": 3, "begun": 2, "started_ms": 20})
TOKENS = Tokens(prompt_tokens=1, completion_tokens=2, total_tokens=3)


def test_a_run_that_waits_has_a_place_and_no_times_but_one() -> None:
    view = summary(QUEUED, position=3)
    assert (view.state, view.queue_position, view.attempt) == ("queued", 3, 0)
    assert (view.created_ms, view.queued_ms, view.started_ms, view.ended_ms) == (RUN.created_ms, 10, None, None)
    assert (view.background, view.error, view.cancel_requested) == (False, None, None)


def test_an_attempt_that_only_ends_the_run_is_not_shown() -> None:
    ended = QUEUED.model_copy(update={"state": State.CANCELLED, "attempt": 1, "ended_ms": 20})
    assert (summary(ended).attempt, summary(ended).started_ms) == (0, None)
    assert (summary(RUNNING).attempt, summary(RUNNING).started_ms) == (2, 20)


def test_a_run_without_readers_is_in_the_background() -> None:
    assert summary(RUNNING.model_copy(update={"foreground": False})).background
    assert not summary(RUNNING).background


def test_who_asked_for_the_end_is_shown_before_it_has_come() -> None:
    view = summary(RUNNING.model_copy(update={"cancel": StopReason.USER}))
    assert (view.state, view.cancel_requested) == ("running", "user")


def test_a_list_tells_why_a_run_failed() -> None:
    view = summary(RUNNING.model_copy(update={"state": State.FAILED, "ended_ms": 30, "code": "worker_lost"}))
    assert (view.ended_ms, view.error) == (30, RunFailure(code="worker_lost", message=""))


def test_what_was_said_so_far() -> None:
    view = whole(RUNNING, Head(seq=4, chars=2), "Hi")
    assert (view.text, view.last_event, view.usage, view.state) == ("Hi", 4, None, "running")


@pytest.mark.parametrize("state", [State.RUNNING, State.COMPLETED])
def test_a_run_has_ended_when_its_log_has(state: State) -> None:
    """The worker settles the ledger a moment later, or not at all when it dies in that moment."""
    record = RUNNING.model_copy(update={"state": state})
    view = whole(record, Head(seq=5, end=End(state=State.COMPLETED, text="Hi", usage=TOKENS)), "")
    assert (view.state, view.text, view.usage, view.last_event) == ("completed", "Hi", TOKENS, 5)


def test_what_the_client_is_to_call() -> None:
    call = ToolCall(id="c1", name="f", arguments="{}")
    end = End(state=State.COMPLETED, tool_calls=(call,), finish_reason="tool_calls")
    view = whole(RUNNING, Head(seq=5, end=end, calls=1), "")
    assert (view.tool_calls, view.finish_reason, view.text) == ((call,), "tool_calls", "")
    assert whole(RUNNING, Head(seq=4, calls=1), "").tool_calls is None


def test_how_an_agent_came_by_the_earlier_turns_is_told_and_its_name_for_them_is_not() -> None:
    own = StoredConversation(id="c1-secret", agent_id="main", place="here", system="")
    end = End(state=State.COMPLETED, resumed=Resumed.FELL_BACK, conversation=own)
    view = whole(RUNNING, Head(seq=5, end=end), "")
    assert view.resumed == "fell_back"
    assert "secret" not in view.model_dump_json()


def test_a_failure_is_told_in_words_and_an_operators_detail_is_not() -> None:
    end = End(state=State.FAILED, text="half", code="agent_failed", message="It broke.", detail="/srv/secret")
    view = whole(RUNNING, Head(seq=5, end=end), "")
    assert (view.text, view.error) == ("half", RunFailure(code="agent_failed", message="It broke."))
    assert "secret" not in view.model_dump_json()
