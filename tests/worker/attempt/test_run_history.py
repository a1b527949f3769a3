from __future__ import annotations

from shared.run.run import Part, Run, ToolCall, Turn
from tests.runs import a_run
from worker.attempt.run_history import history_of

PICTURE = Part(type="image_url", value={"url": "data:image/png;base64,AAAA"})
QUESTION = Turn(role="user", content="Which weather?", parts=(PICTURE,))
WITHOUT_PICTURE = Turn(role="user", content="Which weather?")
EARLIER = (Turn(role="user", content="Hi"), Turn(role="assistant", content="Hello."))


def calls(*ids: str) -> Turn:
    called = tuple(ToolCall(id=id, name="f", arguments="{}") for id in ids)
    return Turn(role="assistant", content="", tool_calls=called)


def result(call: str) -> Turn:
    return Turn(role="tool", content="Rain", tool_call_id=call)


def run(*history: Turn, current: tuple[Turn, ...] = ()) -> Run:
    return a_run("s", keeps_transcript=True, history=history, current=current)


def test_in_its_first_turn_a_session_has_what_the_request_carries() -> None:
    assert history_of(run(*EARLIER), ()) == EARLIER


def test_later_its_transcript_counts() -> None:
    assert history_of(run(QUESTION), EARLIER) == EARLIER
    assert history_of(run(QUESTION, calls("c1")), EARLIER) == EARLIER


def test_an_exchange_that_waits_for_results_is_what_the_request_carries() -> None:
    """It has the picture that the transcript has left out."""
    asked = run(*EARLIER[:1], QUESTION, calls("c1"), current=(result("c1"),))
    assert history_of(asked, (*EARLIER, WITHOUT_PICTURE, calls("c1"))) == (*EARLIER, QUESTION, calls("c1"))


def test_so_it_is_after_several_rounds() -> None:
    rounds = (calls("c1"), result("c1"), calls("c2"))
    asked = run(QUESTION, *rounds, current=(result("c2"),))
    assert history_of(asked, (*EARLIER, WITHOUT_PICTURE, *rounds)) == (*EARLIER, QUESTION, *rounds)


def test_an_exchange_that_the_transcript_does_not_have_is_added() -> None:
    """That happens when the run that made the calls belonged to another session."""
    asked = run(QUESTION, calls("c1"), current=(result("c1"),))
    assert history_of(asked, EARLIER) == (*EARLIER, QUESTION, calls("c1"))


def test_a_client_that_carries_no_calls_relies_on_the_transcript() -> None:
    remembered = (*EARLIER, WITHOUT_PICTURE, calls("c1"))
    assert history_of(run(current=(QUESTION, result("c1"))), remembered) == remembered
    assert history_of(run(calls("c1"), current=(result("c1"),)), remembered) == remembered
