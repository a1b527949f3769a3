"""These tests use made-up CLIs; tests/agents has the real ones."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from shared.run.errors import ErrorCode, RunError
from shared.run.events import Delta, Tokens, Usage
from shared.run.run import Turn
from tests.worker.agents.asking import asked
from worker.agents.command.cli_conversation import is_id, is_place_of_id, resume_or_restart, unsent, with_options
from worker.agents.protocol import AgentConversation, AgentInput, AgentOutput, EarlierConversation

OLD, NEW = AgentConversation(id="old"), AgentConversation(id="new")
HELLO = Delta(delta="Hello")
GONE = RunError(ErrorCode.AGENT_FAILED, "No conversation found.")
HISTORY = (Turn(role="user", content="Before"),)


def resuming(*, has_system: bool = True) -> AgentInput:
    earlier = EarlierConversation(id="old", place="", has_system_prompt=has_system)
    return asked(system="Be brief.", history=HISTORY, named_session=True, earlier=earlier)


class Cli:
    """A CLI that yields or raises the given outputs when it should continue a conversation. Started again without one,
    it yields "new" in another conversation."""

    def __init__(self, *goes_on: AgentOutput | RunError) -> None:
        self._goes_on = goes_on
        self.inputs: list[AgentInput] = []
        self.closed = 0

    async def ask(self, input: AgentInput) -> AsyncGenerator[AgentOutput, None]:
        self.inputs.append(input)
        assert self.closed == len(self.inputs) - 1, "two at once"
        try:
            for one in self._goes_on if input.earlier else (NEW, Delta(delta="new")):
                if isinstance(one, RunError):
                    raise one
                yield one
        finally:
            self.closed += 1


async def heard(cli: Cli, input: AgentInput) -> list[AgentOutput]:
    return [one async for one in resume_or_restart(cli.ask, input)]


async def test_a_cli_that_names_the_conversation_goes_on() -> None:
    cli = Cli(OLD, HELLO, NEW)
    assert await heard(cli, resuming()) == [OLD, HELLO, NEW]
    assert cli.inputs == [resuming()]


async def test_what_it_fails_with_then_is_the_runs_failure() -> None:
    with pytest.raises(RunError) as failed:
        await heard(Cli(OLD, HELLO, GONE), resuming())
    assert failed.value is GONE


@pytest.mark.parametrize(
    "goes_on",
    [
        (GONE,),
        (Usage(), GONE),
        (NEW, HELLO),
        (HELLO, OLD),
        (),
    ],
    ids=["fails", "counts nothing and fails", "begins another", "answers without naming any", "says nothing"],
)
async def test_any_other_is_asked_anew_and_nothing_of_that_is_said(goes_on: tuple[AgentOutput | RunError, ...]) -> None:
    cli = Cli(*goes_on)
    assert await heard(cli, resuming()) == [NEW, Delta(delta="new")]
    assert cli.inputs == [resuming(), resuming().model_copy(update={"earlier": None})]
    assert cli.closed == 2


@pytest.mark.parametrize(
    ("spent", "counted", "own"),
    [
        (Tokens(prompt_tokens=12, completion_tokens=9), (30, 10), (18, 1)),
        (Tokens(), (30, 10), (30, 10)),
        (Tokens(prompt_tokens=12, completion_tokens=9), (11, 10), (11, 10)),
    ],
    ids=["from the beginning", "for each run", "anew after all"],
)
async def test_tokens_of_earlier_runs_are_not_counted_again(
    spent: Tokens, counted: tuple[int, int], own: tuple[int, int]
) -> None:
    earlier = EarlierConversation(id="old", place="", spent=spent, has_system_prompt=True)
    usage = Usage(prompt_tokens=counted[0], completion_tokens=counted[1])
    *_, last = await heard(Cli(OLD, usage), asked(earlier=earlier))
    assert last == Usage(prompt_tokens=own[0], completion_tokens=own[1])


async def test_without_an_earlier_conversation_it_is_asked_once() -> None:
    cli = Cli()
    await heard(cli, asked())
    assert cli.inputs == [asked()]


@pytest.mark.parametrize(("has_system", "system"), [(True, ""), (False, "Be brief.")])
def test_only_what_is_new_is_told(has_system: bool, system: str) -> None:
    new = unsent(resuming(has_system=has_system))
    assert (new.message, new.extra_system_prompt, new.history) == ("Hi", system, ())


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "whole"),
    [
        ("cli -p", "cli -p --resume=c1 -v"),
        ("cli -p {prompt}", "cli -p --resume=c1 -v {prompt}"),
        ("cli -p -- {prompt}", "cli -p --resume=c1 -v -- {prompt}"),
        ("cli --prompt={prompt} -q", "cli --resume=c1 -v --prompt={prompt} -q"),
        ("cli -p --", "cli -p --resume=c1 -v --"),
        ("box -- cli -p", "box -- cli -p --resume=c1 -v"),
    ],
)
def test_options_stand_where_they_are_options(command: str, whole: str) -> None:
    assert with_options(command.split(), ["--resume={conversation}", "-v"], "c1") == tuple(whole.split())


@pytest.mark.parametrize("item", ["{conversation}", "--resume={conversation}", "-r={conversation}"])
def test_a_conversation_has_its_place(item: str) -> None:
    assert is_place_of_id(item)


@pytest.mark.parametrize("item", ["x{conversation}", "--{conversation}", "; rm {conversation}", "--resume"])
def test_and_no_other(item: str) -> None:
    assert not is_place_of_id(item)


@pytest.mark.parametrize("id", ["01a2049b-95c1-7891-9466-73605ed60fdc", "ses_dfb64601bffe78GYD8i0urE6nm", "a"])
def test_what_clis_call_their_conversations(id: str) -> None:
    assert is_id(id)


@pytest.mark.parametrize("id", ["", "-c", "--dangerously", "../x", "a b", "a\n", "é", "x" * 129])
def test_what_could_be_anything_else_is_no_id(id: str) -> None:
    assert not is_id(id)
