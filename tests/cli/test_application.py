"""How the command line is parsed, and its errors. tests/e2e/test_cli.py tests the commands on a real service."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner, Result

from cli.application import application
from cli.cli_error import CliError, ExitCode
from cli.command_context import CommandContext

NOWHERE = {"RUNRELAY_URL": "http://127.0.0.1:1"}


def invoke(*arguments: str, input: str | None = None, environment: dict[str, str] | None = None) -> Result:
    context = CommandContext(NOWHERE if environment is None else environment)
    return CliRunner().invoke(application(), [*arguments], input=input, obj=context)


@pytest.mark.parametrize("arguments", [(), ("runs",), ("queue",), ("workers",)])
def test_a_group_alone_shows_what_there_is(arguments: tuple[str, ...]) -> None:
    assert "Usage" in invoke(*arguments).output


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("runs", "ls", "--state", "lost"),
        ("runs", "ls", "-n", "0"),
        ("runs", "show"),
        ("runs", "retry", "--failed", "-n", "101"),
        ("workers", "drain"),
        ("nonsense",),
        ("top", "--interval", "0"),
    ],
)
def test_what_makes_no_sense_is_told(arguments: tuple[str, ...]) -> None:
    assert invoke(*arguments).exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "main", " "), "Say what"),
        (("runs", "retry"), "Name the runs"),
        (("runs", "retry", "r1", "--failed"), "Name the runs"),
        (("runs", "retry", "r1", "--agent", "main"), "Name the runs"),
        (("runs", "cancel"), "Name the runs"),
        (("runs", "cancel", "r1", "--running-for", "1h"), "Name the runs"),
        (("runs", "cancel", "r1", "--agent", "main"), "Name the runs"),
        (("runs", "cancel", "--running-for", "long"), "--running-for long"),
        (("runs", "ls", "--since", "soon"), "15m"),
        (("runs", "ls", "--since", "-5m"), "15m"),
        (("runs", "ls", "--since", "m"), "15m"),
    ],
)
def test_what_contradicts_itself_is_told(arguments: tuple[str, ...], message: str) -> None:
    error = invoke(*arguments).exception
    assert isinstance(error, CliError)
    assert error.code is ExitCode.USAGE
    assert message in str(error)


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "main", "Hi"),
        ("runs", "ls"),
        ("runs", "show", "r"),
        ("runs", "tail", "r"),
        ("runs", "cancel", "r"),
        ("runs", "cancel", "--running-for", "10m"),
        ("runs", "retry", "r"),
        ("runs", "retry", "--failed", "--since", "6h"),
        ("runs", "rm", "r"),
        ("queue", "stats"),
        ("queue", "pause"),
        ("queue", "resume", "main"),
        ("workers", "ls"),
        ("workers", "drain", "w"),
        ("top",),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_service_that_is_away_is_told_in_one_line(arguments: tuple[str, ...], as_json: bool) -> None:
    error = invoke(*arguments, *(["--json"] if as_json else [])).exception
    assert isinstance(error, CliError)
    assert error.code is ExitCode.UNREACHABLE
    assert "RUNRELAY_URL" in str(error)
    assert "\n" not in str(error)


def test_the_release_is_told() -> None:
    assert invoke("--version").output.startswith("runrelay ")


def test_a_wrong_setting_of_the_service_is_told_by_the_doctor() -> None:
    error = invoke("doctor", environment={"REDIS_URL": "http://x"}).exception
    assert isinstance(error, CliError)
    assert (error.code, "REDIS_URL" in str(error)) == (ExitCode.USAGE, True)
