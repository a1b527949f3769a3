"""Looks whether agents could be opened on this machine, without opening them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from shared.run.errors import SettingsError
from worker.agents.command.command_config import CommandConfig
from worker.agents.command.preflight import check_command
from worker.agents.config import toml_table
from worker.agents.kinds import AgentConfig


def check_agents(configs: Mapping[str, AgentConfig], environment: Mapping[str, str]) -> None:
    """Raises SettingsError with the first agent whose command line names what is not there."""
    for agent_id, config in configs.items():
        if isinstance(config, CommandConfig):
            path = environment.get("PATH", os.defpath) if "PATH" in config.env else os.defpath
            try:
                check_command((*config.command, *config.args), folder=config.folder, path=path)
            except SettingsError as wrong:
                raise SettingsError(f"{toml_table(agent_id)} {wrong}") from wrong
