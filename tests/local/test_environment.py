from __future__ import annotations

from pathlib import Path

import pytest

from local.environment import local_environment, needs_token, shown_token, with_token
from shared.settings import read_settings

PYTHON = Path("/venv/bin/python")
ADDED = {"PATH": "/venv/bin:/usr/bin", "PYTHONUNBUFFERED": "1"}


def test_a_setting_of_the_user_is_left_alone() -> None:
    given = {"HOST": "::1", "DRAIN_SECONDS": "20", "REDIS_URL": "redis://elsewhere", "LANG": "C"}
    assert local_environment({**given, "PATH": "/usr/bin"}, PYTHON) == given | ADDED


def test_an_empty_setting_counts_as_unset_and_other_variables_stay() -> None:
    given = {"HOST": "", "REDIS_URL": " ", "EMPTY": "", "PATH": "/usr/bin"}
    defaults = {"HOST": "127.0.0.1", "DRAIN_SECONDS": "3"}
    assert local_environment(given, PYTHON) == {"EMPTY": ""} | defaults | ADDED


def test_the_users_credentials_are_passed_on_as_they_are() -> None:
    given = {"API_TOKENS": "me:secret,you:other", "OPERATE_TOKENS": "olga:secret"}
    assert local_environment(given, PYTHON).items() >= given.items()


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
def test_a_token_is_made_when_the_api_would_refuse_every_client_and_no_other_is_shown(
    given: dict[str, str], needed: bool, shown: str | None
) -> None:
    settings = read_settings(given)
    assert needs_token(settings) == needed
    assert shown_token(settings, "made here" if needed else None) == shown


def test_the_token_lets_a_client_in_and_operate() -> None:
    assert with_token({"PORT": "80", "API_TOKENS": ","}, "abc") == {
        "PORT": "80",
        "API_TOKENS": "local:abc",
        "OPERATE_TOKENS": "local:abc",
    }


def test_a_user_who_named_operators_has_no_other() -> None:
    environment = with_token({"OPERATE_TOKENS": "olga:secret"}, "abc")
    assert (environment["API_TOKENS"], environment["OPERATE_TOKENS"]) == ("local:abc", "olga:secret")
