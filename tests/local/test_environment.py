from __future__ import annotations

from pathlib import Path

import pytest

from local.environment import for_processes, needs_redis, needs_token, shown_token, with_local_defaults, with_python


def test_what_the_user_has_set_is_left_alone() -> None:
    given = {"HOST": "::1", "DRAIN_SECONDS": "20", "LEASE_SECONDS": "5", "LANG": "C"}
    assert with_local_defaults(given) == given


def test_an_empty_setting_counts_as_unset_and_other_variables_stay() -> None:
    assert with_local_defaults({"HOST": "", "REDIS_URL": " ", "EMPTY": ""}) == {
        "HOST": "127.0.0.1",
        "DRAIN_SECONDS": "3",
        "EMPTY": "",
    }


def test_a_redis_of_the_users_own_is_used() -> None:
    assert needs_redis({})
    assert not needs_redis({"REDIS_URL": "redis://elsewhere"})


@pytest.mark.parametrize(
    ("given", "needed", "shown"),
    [
        ({}, True, "made here"),
        ({"AUTH": "token"}, True, "made here"),
        ({"AUTH": "none"}, False, None),
        ({"API_TOKENS": "me:secret"}, False, "YOUR_TOKEN"),
        ({"CLAWDBOT_GATEWAY_TOKEN": "secret"}, False, "YOUR_TOKEN"),
        ({"CLAWDBOT_GATEWAY_PASSWORD": "secret"}, False, "YOUR_TOKEN"),
    ],
)
def test_a_token_is_made_when_nobody_could_get_in_and_no_other_is_shown(
    given: dict[str, str], needed: bool, shown: str | None
) -> None:
    assert needs_token(given) == needed
    assert shown_token(given, "made here" if needed else None) == shown


def test_the_processes_get_the_same_python() -> None:
    assert with_python({"PATH": "/usr/bin", "PORT": "80"}, Path("/venv/bin/python")) == {
        "PATH": "/venv/bin:/usr/bin",
        "PORT": "80",
        "PYTHONUNBUFFERED": "1",
    }


def test_the_processes_get_redis_and_token() -> None:
    assert for_processes({"PORT": "80"}, "redis://here", "abc") == {
        "PORT": "80",
        "REDIS_URL": "redis://here",
        "API_TOKENS": "local:abc",
        "OPERATE_TOKENS": "local:abc",
    }


def test_whoever_named_operators_has_no_other() -> None:
    environment = for_processes({"OPERATE_TOKENS": "olga:secret"}, "redis://here", "abc")
    assert (environment["API_TOKENS"], environment["OPERATE_TOKENS"]) == ("local:abc", "olga:secret")


def test_the_users_credentials_are_passed_on_as_they_are() -> None:
    assert for_processes({"API_TOKENS": "me:secret"}, "redis://here", None)["API_TOKENS"] == "me:secret"
