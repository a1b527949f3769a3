"""The agents of a worker without an agents.toml: those that it finds on this machine, and the demo agent.

The worker finds models by the keys in the environment, and coding CLIs by their names on PATH. It serves each under a
name of its own. `main`, which answers every request that names no agent, is the first model. It is never a CLI: a CLI
edits files and runs commands, and that must not begin because a client requested `gpt-4o`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from shared.ledger.presence import ANY
from shared.run.agent_ids import DEFAULT_AGENT
from shared.run.errors import SettingsError
from worker.agents.command.command_config import CommandConfig
from worker.agents.command.presets import PRESETS
from worker.agents.config import load_agents
from worker.agents.demo_config import DemoConfig
from worker.agents.kinds import AgentConfig
from worker.agents.openai.openai_config import OpenAIConfig

DEMO = "demo"


@dataclass(frozen=True)
class ModelProvider:
    """A vendor's OpenAI-compatible API, by the variables that its own tools read."""

    key: str
    base: str  # variable that names another server than `server`
    server: str
    path: str  # the part of `base_url` after the server
    name: str  # variable that names another model than `model`
    model: str  # small and quick: the user pays for each trial


MODELS: Mapping[str, ModelProvider] = {
    "openai": ModelProvider(
        key="OPENAI_API_KEY",
        base="OPENAI_BASE_URL",
        server="https://api.openai.com/v1",
        path="",
        name="OPENAI_MODEL",
        model="gpt-5.4-mini",
    ),
    "anthropic": ModelProvider(
        key="ANTHROPIC_API_KEY",
        base="ANTHROPIC_BASE_URL",
        server="https://api.anthropic.com",
        path="/v1",
        name="ANTHROPIC_MODEL",
        model="claude-haiku-4-5",
    ),
    "google": ModelProvider(
        key="GEMINI_API_KEY",
        base="GOOGLE_GEMINI_BASE_URL",
        server="https://generativelanguage.googleapis.com",
        path="/v1beta/openai",
        name="GEMINI_MODEL",
        model="gemini-flash-latest",
    ),
}


@dataclass(frozen=True)
class DiscoveredAgent:
    """An agent without a configuration in a file, and why the worker serves it."""

    agent_id: str
    config: AgentConfig
    why: str

    def __str__(self) -> str:
        return f"{self.config.description} ({self.why})"


@dataclass(frozen=True)
class Served:
    """The agents of a worker by id; `found` is empty when a file names them."""

    configs: Mapping[str, AgentConfig]
    found: tuple[DiscoveredAgent, ...] = ()

    @property
    def suggested(self) -> str:
        """The agent to try first: a found CLI rather than the demo, although requests reach it only by its name."""
        if self.found and isinstance(self.found[0].config, DemoConfig):
            return next((one.agent_id for one in self.found if isinstance(one.config, CommandConfig)), DEFAULT_AGENT)
        return DEFAULT_AGENT if {DEFAULT_AGENT, ANY} & self.configs.keys() else next(iter(self.configs))


def served_agents(path: Path, *, required: bool, environment: Mapping[str, str]) -> Served:
    """The agents of the file, or without a file those found on this machine. Raises SettingsError, one line."""
    configs = load_agents(path, required=required)
    return Served(configs) if configs else found_agents(environment)


def found_agents(environment: Mapping[str, str]) -> Served:
    """The agents of this machine, `main` first. Raises SettingsError when a model's address is not a web address."""
    models, clis = list(_models(environment)), list(_clis(environment))
    demo = DemoConfig(description="The demo agent, which repeats each message")
    if models:
        main = DiscoveredAgent(DEFAULT_AGENT, models[0].config, models[0].why)
    elif clis:
        main = DiscoveredAgent(DEFAULT_AGENT, demo, "a CLI answers to its own name only")
    else:
        main = DiscoveredAgent(
            DEFAULT_AGENT, demo, f"no model's key is set, and none of {', '.join(PRESETS)} is on PATH"
        )
    found = (main, *models, *clis, DiscoveredAgent(DEMO, demo, "always"))
    return Served({one.agent_id: one.config for one in found}, found)


def _models(environment: Mapping[str, str]) -> Iterator[DiscoveredAgent]:
    given = {name: value.strip() for name, value in environment.items() if value.strip()}
    for agent_id, it in MODELS.items():
        if it.key in given:
            base = given[it.base].rstrip("/") if it.base in given else it.server
            yield DiscoveredAgent(
                agent_id, _model(it, base + it.path, given.get(it.name, it.model)), f"{it.key} is set"
            )


def _model(it: ModelProvider, base_url: str, model: str) -> OpenAIConfig:
    try:
        host = urlsplit(base_url).hostname  # not all of it: an address may hold a password
        description = f"The model {model} at {host}"
        return OpenAIConfig(kind="openai", base_url=base_url, model=model, api_key_env=it.key, description=description)
    except ValueError:
        raise SettingsError(f"{it.base}: must be an http:// or https:// address, such as {it.server}") from None


def _clis(environment: Mapping[str, str]) -> Iterator[DiscoveredAgent]:
    path = environment.get("PATH", os.defpath)
    for name, preset in PRESETS.items():
        if executable := shutil.which(preset.command.split()[0], path=path):
            written = {"kind": "command", "preset": name, "description": f"The CLI {name}"}
            yield DiscoveredAgent(name, CommandConfig.model_validate(written), f"it is on PATH: {executable}")
