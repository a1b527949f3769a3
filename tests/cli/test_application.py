"""What the command line is understood to say; what comes of it is tried on a real service (tests/e2e/test_cli.py)."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner, Result

from cli.application import application
from cli.cli_error import CliError, ExitCode
from cli.command_context import CommandContext

NOWHERE = {"RUNRELAY_URL": "http://127.0.0.1:1"}


def said(*words: str, input: str | None = None, environment: dict[str, str] | None = None) -> Result:
    world = CommandContext(NOWHERE if environment is None else environment)
    return CliRunner().invoke(application(), [*words], input=input, obj=world)


@pytest.mark.parametrize("words", [(), ("runs",), ("queue",), ("workers",)])
def test_a_group_alone_shows_what_there_is(words: tuple[str, ...]) -> None:
    assert "Usage" in said(*words).output


@pytest.mark.parametrize(
    "words",
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
def test_what_makes_no_sense_is_told(words: tuple[str, ...]) -> None:
    assert said(*words).exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("words", "complaint"),
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
def test_what_contradicts_itself_is_told(words: tuple[str, ...], complaint: str) -> None:
    problem = said(*words).exception
    assert isinstance(problem, CliError)
    assert problem.code is ExitCode.USAGE
    assert complaint in str(problem)


@pytest.mark.parametrize(
    "words",
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
def test_a_service_that_is_away_is_told_in_one_line(words: tuple[str, ...], as_json: bool) -> None:
    problem = said(*words, *(["--json"] if as_json else [])).exception
    assert isinstance(problem, CliError)
    assert problem.code is ExitCode.UNREACHABLE
    assert "RUNRELAY_URL" in str(problem)
    assert "\n" not in str(problem)


def test_the_release_is_told() -> None:
    assert said("--version").output.startswith("runrelay ")


def test_a_wrong_setting_of_the_service_is_told_by_the_doctor() -> None:
    problem = said("doctor", environment={"REDIS_URL": "http://x"}).exception
    assert isinstance(problem, CliError)
    assert (problem.code, "REDIS_URL" in str(problem)) == (ExitCode.USAGE, True)
