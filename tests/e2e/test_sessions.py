"""Which session a request belongs to, and what an agent gets of its earlier runs."""

from __future__ import annotations

import re
from collections.abc import Mapping

import httpx
import pytest

from tests.e2e.asking import CHAT, asked, authorised, content, given
from tests.e2e.service import BOB, Service

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
NAMES = ["x-clawdbot-session-key", "x-openclaw-session-key", "x-session-key"]


def session(http: httpx.Client, headers: Mapping[str, bytes] | None = None, **fields: object) -> str:
    """The key of the session that the request belongs to."""
    raw = [(name.encode(), value) for name, value in (headers or {}).items()]
    return str(given(http.post(CHAT, json={**asked("Hi"), **fields}, headers=raw))["sessionKey"])


# --- keys -------------------------------------------------------------------------------------------------------------


def test_without_a_name_each_request_has_a_session_of_its_own(http: httpx.Client) -> None:
    keys = {session(http) for _ in range(3)}
    assert len(keys) == 3
    assert all(re.fullmatch(f"agent:main:openai:{UUID}", key) for key in keys)


def test_a_user_has_a_session_per_agent(http: httpx.Client) -> None:
    assert session(http, user="u1") == "agent:main:openai-user:u1"
    assert session(http, user=" u1\ufeff") == "agent:main:openai-user:u1"


@pytest.mark.parametrize("user", ["", "  ", None, 7, ["u1"]])
def test_what_names_no_user_is_passed_over(http: httpx.Client, user: object) -> None:
    assert re.fullmatch(f"agent:main:openai:{UUID}", session(http, user=user))


def test_a_header_is_the_key_itself_and_beats_the_user(http: httpx.Client) -> None:
    nbsp = b"\xa0"  # white space in JavaScript
    assert session(http, {"x-clawdbot-session-key": nbsp + b"My key: 1" + nbsp}, user="u2") == "My key: 1"
    assert session(http, {"x-clawdbot-session-key": nbsp}, user="u2") == "agent:main:openai-user:u2"


def test_the_first_header_beats_the_others(http: httpx.Client) -> None:
    headers = {name: f"by-{name}".encode() for name in NAMES}
    for name in NAMES:
        assert session(http, headers) == f"by-{name}"
        del headers[name]


def test_a_key_may_name_its_agent(http: httpx.Client) -> None:
    headers = {"x-clawdbot-session-key": "agent:echo:mine"}
    answer = http.post(CHAT, json={**asked("Hi"), "model": "gpt-4o"}, headers=headers)
    assert content(answer) == "Hi"


@pytest.mark.parametrize(
    ("model", "headers"),
    [("clawdbot:main", {}), ("main", {}), ("gpt-4o", {"x-agent-id": "main"})],
)
def test_a_key_and_a_request_that_name_two_agents_are_refused(
    http: httpx.Client, model: str, headers: dict[str, str]
) -> None:
    headers["x-clawdbot-session-key"] = "agent:echo:mine"
    answer = http.post(CHAT, json={**asked("Hi"), "model": model}, headers=headers)
    assert answer.status_code == 400
    assert "`echo`" in answer.json()["error"]["message"]


def test_a_key_has_at_most_256_characters(http: httpx.Client) -> None:
    longest = "k" * 256
    assert session(http, {"x-clawdbot-session-key": longest.encode()}) == longest
    user = "u" * (256 - len("agent:main:openai-user:"))
    assert session(http, user=user).endswith(user)
    assert http.post(CHAT, json=asked("Hi"), headers={"x-clawdbot-session-key": longest + "k"}).status_code == 400
    assert http.post(CHAT, json=asked("Hi", user=user + "u")).status_code == 400


@pytest.mark.parametrize("control", ["\x00", "\x1f", "\x7f", "\x85", "\n", "\t"])
def test_a_key_has_no_control_characters(http: httpx.Client, control: str) -> None:
    answer = http.post(CHAT, json=asked("Hi", user=f"a{control}b"))
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


# --- owners -----------------------------------------------------------------------------------------------------------


def test_a_key_belongs_to_the_credential_that_first_used_it(http: httpx.Client) -> None:
    named: list[tuple[dict[str, str], dict[str, str]]] = [
        ({"user": "shared-name"}, {}),
        ({}, {"x-session-key": "shared-key"}),
    ]
    for fields, headers in named:
        assert http.post(CHAT, json={**asked("Hi"), **fields}, headers=headers).status_code == 200
        foreign = http.post(CHAT, json={**asked("Hi"), **fields}, headers={**headers, **authorised(BOB)})
        assert foreign.status_code == 403
        assert set(foreign.json()["error"]) >= {"message", "type"}
        assert http.post(CHAT, json={**asked("Hi"), **fields}, headers=headers).status_code == 200


def test_token_and_password_are_one_credential(http: httpx.Client) -> None:
    for token in ("gateway-token", "gateway-password"):
        headers = {"x-session-key": "gateway", **authorised(token)}
        assert http.post(CHAT, json=asked("Hi"), headers=headers).status_code == 200


# --- memory -----------------------------------------------------------------------------------------------------------


def turns(answer: httpx.Response) -> list[tuple[str, str]]:
    return [(turn["role"], turn["content"]) for turn in given(answer)["history"]]


def test_a_named_session_remembers_its_turns(http: httpx.Client) -> None:
    first, second = (http.post(CHAT, json=asked(text, user="remembers")) for text in ("one", "two"))
    third = http.post(CHAT, json=asked("three", user="remembers"))
    assert turns(first) == []
    assert turns(second) == [("user", "one"), ("assistant", content(first))]
    assert turns(third) == [*turns(second), ("user", "two"), ("assistant", content(second))]


def test_its_own_memory_counts_more_than_what_a_client_repeats(http: httpx.Client) -> None:
    first = http.post(CHAT, json=asked("one", user="repeats"))
    repeated = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "something else"},
        {"role": "user", "content": "two"},
    ]
    second = http.post(CHAT, json={**asked("", user="repeats"), "messages": repeated})
    assert (given(second)["message"], turns(second)) == ("two", [("user", "one"), ("assistant", content(first))])


def test_a_nameless_session_remembers_nothing(http: httpx.Client) -> None:
    assert [turns(http.post(CHAT, json=asked(text))) for text in ("one", "two")] == [[], []]


def test_sessions_do_not_hear_each_other(http: httpx.Client) -> None:
    for user in ("left", "right"):
        http.post(CHAT, json=asked(f"of {user}", user=user))
    assert turns(http.post(CHAT, json=asked("?", user="left")))[0] == ("user", "of left")
    assert turns(http.post(CHAT, json=asked("?", user="right")))[0] == ("user", "of right")


def test_a_failed_turn_is_not_remembered(http: httpx.Client, service: Service) -> None:
    headers = {"x-session-key": "failing"}
    play = service.play({"error": {"message": "no"}})
    assert http.post(CHAT, json=asked(play.message, "scripted"), headers=headers).status_code == 500
    assert turns(http.post(CHAT, json=asked("Hi"), headers=headers)) == []
