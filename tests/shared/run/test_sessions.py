from __future__ import annotations

from uuid import uuid4

import pytest

from shared.run.agent_ids import RequestedAgent
from shared.run.sessions import MAX_KEY, IllegalSessionKey, Session, is_fresh, resolve_session

MAIN = RequestedAgent("main", explicit=False)
BETA = RequestedAgent("beta", explicit=True)


def test_a_header_is_the_key_itself() -> None:
    assert resolve_session(BETA, header=" my key\ufeff", user="zoe") == Session("my key", "beta", stable=True)


def test_a_user_has_one_session_per_agent() -> None:
    session = resolve_session(BETA, header=None, user=" zoë ")
    assert session == Session("agent:beta:openai-user:zoë", "beta", stable=True)


@pytest.mark.parametrize("blank", [None, "", " ", "\u2028"])
def test_without_either_every_request_has_its_own(blank: str | None) -> None:
    one, other = (resolve_session(BETA, header=blank, user=blank) for _ in range(2))
    assert one.key.startswith("agent:beta:openai:")
    assert one.key != other.key
    assert not one.stable
    assert is_fresh(one.key)


@pytest.mark.parametrize(
    "key", ["agent:main:openai:1", "agent:main:main", "telegram:42", "1c2d57ba-01cf-4949-9601-fa6e92599f2e"]
)
def test_what_a_client_named_is_not_taken_for_one_of_a_single_request(key: str) -> None:
    assert not is_fresh(key)
    assert not is_fresh(resolve_session(MAIN, header=None, user=str(uuid4())).key)


@pytest.mark.parametrize(
    ("key", "agent_id"),
    [
        ("agent:gamma:main", "gamma"),
        ("agent:Gamma:main", "gamma"),
        ("agent:my agent:x:y", "my-agent"),
        ("agent:gamma", "main"),
        ("agent:gamma:", "main"),
        ("agent::main", "main"),
        ("AGENT:gamma:main", "main"),
        ("telegram:42", "main"),
    ],
)
def test_a_key_may_name_its_agent(key: str, agent_id: str) -> None:
    assert resolve_session(MAIN, header=key, user=None) == Session(key, agent_id, stable=True)


def test_a_key_of_the_agent_that_was_asked_for() -> None:
    assert resolve_session(BETA, header="agent:Beta:x", user=None).agent_id == "beta"


def test_a_key_of_another_agent_than_the_one_asked_for_is_refused() -> None:
    with pytest.raises(IllegalSessionKey, match=r"`gamma`.*`beta`"):
        resolve_session(BETA, header="agent:gamma:x", user=None)


def test_a_key_may_have_exactly_so_many_characters() -> None:
    assert resolve_session(MAIN, header="😀" * MAX_KEY, user=None).key == "😀" * MAX_KEY


@pytest.mark.parametrize(("header", "user"), [("x" * (MAX_KEY + 1), None), (None, "x" * MAX_KEY)])
def test_a_longer_key_is_refused(header: str | None, user: str | None) -> None:
    with pytest.raises(IllegalSessionKey, match="256 characters"):
        resolve_session(MAIN, header=header, user=user)


@pytest.mark.parametrize("control", "\x00\t\n\x1f\x7f\x85\x9f")
def test_control_characters_are_refused(control: str) -> None:
    for header, user in ((f"a{control}b", None), (None, f"a{control}b")):
        with pytest.raises(IllegalSessionKey, match="control characters"):
            resolve_session(MAIN, header=header, user=user)
