from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.run.errors import SettingsError
from shared.settings import SETTINGS, Settings, near_misses, read_settings

DEFAULTS = {
    "PORT": "8000",
    "HOST": "",
    "REDIS_URL": "redis://127.0.0.1:6379",
    "EVENTS_REDIS_URL": "",
    "AUTH": "token",
    "API_TOKENS": "",
    "AGENTS_FILE": "agents.toml",
    "WORKER_CONCURRENCY": "10",
    "DRAIN_SECONDS": "25",
    "LEASE_SECONDS": "10",
    "MAX_BODY_BYTES": "1048576",
    "RUN_TIMEOUT_SECONDS": "600",
    "RETENTION_SECONDS": "86400",
    "NAMESPACE": "runrelay",
    "LOG_FORMAT": "text",
}


def test_an_empty_environment_gives_the_defaults() -> None:
    assert read_settings({}) == Settings()
    rows = {row.name: row.default for row in SETTINGS}
    assert rows.items() >= DEFAULTS.items()


def test_a_default_is_a_value_that_may_be_set() -> None:
    """As docs/settings.md has it: a default beyond the bounds of its own setting would fail here."""
    assert read_settings({row.name: row.default for row in SETTINGS}) == Settings()


def test_no_representation_of_settings_holds_a_secret() -> None:
    given = {"REDIS_URL": "redis://:secret@host", "API_TOKENS": "a:secret", "METRICS_TOKEN": "secret", "PORT": "9000"}
    shown = repr(read_settings(given))
    assert "port=9000" in shown
    assert "secret" not in shown


def test_what_opens_something_is_a_secret() -> None:
    assert {row.name for row in SETTINGS if row.secret} == {
        row.name for row in SETTINGS if re.search("TOKEN|PASSWORD|REDIS_URL", row.name)
    }


def test_every_setting_has_a_row_with_help() -> None:
    assert [row.name.lower() for row in SETTINGS] == list(Settings.model_fields)
    assert all(row.help for row in SETTINGS)


def test_what_is_set_counts_and_what_is_empty_does_not() -> None:
    settings = read_settings(
        {"PORT": "9000", "HOST": " ", "LEASE_SECONDS": "2.5", "AGENTS_FILE": "x.toml", "OTHER": "1"}
    )
    assert (settings.port, settings.host, settings.lease_seconds) == (9000, "", 2.5)
    assert settings.agents_file == Path("x.toml")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PORT", "http", "PORT='http': Input should be a valid integer"),
        ("PORT", "0", "PORT='0': Input should be greater than or equal to 1"),
        ("AUTH", "maybe", "AUTH='maybe': Input should be 'token' or 'none'"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT='xml': Input should be 'text' or 'json'"),
        ("DRAIN_SECONDS", "nan", "DRAIN_SECONDS='nan': Input should be"),
        ("DRAIN_SECONDS", "-1", "DRAIN_SECONDS='-1': Input should be greater than"),
        ("LEASE_SECONDS", "0.5", "LEASE_SECONDS='0.5': Input should be greater than or equal to 1"),
        ("RETENTION_SECONDS", "59", "RETENTION_SECONDS='59': Input should be greater than or equal to 60"),
        ("NAMESPACE", "a{b", "NAMESPACE='a{b': String should match pattern"),
        ("REDIS_URL", "secret", "REDIS_URL=(not shown): must be redis://"),
        ("REDIS_URL", "http://secret", "REDIS_URL=(not shown): must be redis://"),
        ("REDIS_URL", "redis://", "REDIS_URL=(not shown): must be redis://"),
        ("REDIS_URL", "redis://:secret@host:port", "REDIS_URL=(not shown): "),
        ("EVENTS_REDIS_URL", "secret", "EVENTS_REDIS_URL=(not shown): must be redis://"),
        ("API_TOKENS", "secret", "API_TOKENS=(not shown): must be name:token"),
        ("API_TOKENS", "a:secret,a:secret", "API_TOKENS=(not shown): names the credential 'a' twice"),
    ],
)
def test_a_wrong_value_is_told_with_its_name_and_what_is_allowed(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError) as wrong:
        read_settings({name: value})
    assert str(wrong.value).startswith(message)
    assert "secret" not in str(wrong.value)


def test_every_wrong_value_is_told_at_once_a_line_each() -> None:
    with pytest.raises(SettingsError) as wrong:
        read_settings({"PORT": "x", "AUTH": "y"})
    assert [line.partition("=")[0] for line in str(wrong.value).splitlines()] == ["PORT", "AUTH"]


@pytest.mark.parametrize(
    "url",
    [
        "redis://host",
        "rediss://user:p%40ss@host:6380/1?ssl_cert_reqs=none",
        "valkey://host",
        "valkeys://host",
        "unix:///run/redis.sock",
        "redis://[::1]:6379",
    ],
)
def test_urls_of_redis_and_valkey_are_accepted(url: str) -> None:
    settings = read_settings({"REDIS_URL": url})
    assert settings.redis_url == settings.events_url == url


def test_events_may_have_a_redis_of_their_own() -> None:
    assert read_settings({"EVENTS_REDIS_URL": "redis://other"}).events_url == "redis://other"


def test_credentials_are_those_with_a_name_and_the_gateways() -> None:
    settings = read_settings(
        {
            "API_TOKENS": "alice:a:b, bob:c,",
            "CLAWDBOT_GATEWAY_TOKEN": "token",
            "CLAWDBOT_GATEWAY_PASSWORD": "password",
        }
    )
    assert settings.credentials == {
        "alice": frozenset({"a:b"}),
        "bob": frozenset({"c"}),
        "gateway": frozenset({"token", "password"}),
    }


def test_a_gateway_token_and_a_credential_of_that_name_are_one() -> None:
    settings = read_settings({"API_TOKENS": "gateway:a", "CLAWDBOT_GATEWAY_TOKEN": "b"})
    assert settings.credentials == {"gateway": frozenset({"a", "b"})}


def test_without_any_there_are_no_credentials() -> None:
    assert read_settings({}).credentials == {}


@pytest.mark.parametrize(
    ("environment", "bind"),
    [
        ({}, "0.0.0.0"),  # noqa: S104 - nothing is bound here
        ({"AUTH": "none"}, "127.0.0.1"),
        ({"AUTH": "none", "HOST": "::1"}, "::1"),
        ({"HOST": "h"}, "h"),
    ],
)
def test_without_auth_only_this_machine_is_served_by_default(environment: dict[str, str], bind: str) -> None:
    assert read_settings(environment).bind == bind


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("WORKER_CONCURENCY", "WORKER_CONCURRENCY"),
        ("API_TOKEN", "API_TOKENS"),
        ("RETENTION_SECOND", "RETENTION_SECONDS"),
    ],
)
def test_a_name_that_is_nearly_a_setting_is_told(name: str, meant: str) -> None:
    assert near_misses({name: "1", "PATH": "/bin", "PORT": "1"}) == [f"{name} is no setting; {meant} is"]


def test_names_of_other_programs_are_none_of_ours() -> None:
    others = ("HOSTNAME", "PATH", "HOME", "LANG", "PORTS", "REDIS_PORT", "LOG_LEVEL", "SHELL", "NAMESPACES_OF", "TERM")
    assert near_misses(dict.fromkeys(others, "1")) == []
