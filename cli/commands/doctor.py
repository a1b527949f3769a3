"""`runrelay doctor`: checks how Redis and the service are set up, and prints what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import typer
from pydantic import BaseModel

from cli.cli_error import CliError, ExitCode
from cli.command_context import AsJson, CommandContext, command_context
from cli.doctor.agent_checks import agents_file
from cli.doctor.examination import examined
from cli.doctor.finding import Finding
from shared.run.errors import SettingsError
from shared.settings import Settings, read_settings


class Findings(BaseModel):
    findings: list[Finding]


def doctor(context: typer.Context, as_json: AsJson = False) -> None:
    """Examine Redis and what the service keeps there, with the settings of the service (REDIS_URL, NAMESPACE, ...).

    Exit code 1 when something has to be mended.
    """
    here = command_context(context)
    settings = _settings(here)
    found = asyncio.run(_all(settings, here.environment))
    if as_json:
        here.output.json(Findings(findings=found))
    else:
        rows = ((one.level, one.check, one.seen, one.do) for one in found)
        here.output.table(("", "CHECK", "SEEN", "WHAT TO DO"), rows)
    if any(one.level == "bad" for one in found):
        raise typer.Exit(ExitCode.FAILED)


async def _all(settings: Settings, environment: Mapping[str, str]) -> list[Finding]:
    return [*await examined(settings), *await agents_file(environment, settings.agents_file)]


def _settings(here: CommandContext) -> Settings:
    environment = dict(here.environment)
    if not environment.get("REDIS_URL") and (local := here.local):
        environment["REDIS_URL"] = local.redis_url
    try:
        return read_settings(environment)
    except SettingsError as error:
        raise CliError(ExitCode.USAGE, str(error)) from None
