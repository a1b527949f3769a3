from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import pytest
from openai.types import ChatModel

from shared.run.errors import SettingsError
from tests.worker.agents.asking import answer, asked
from worker.agents.command.command_config import CommandConfig
from worker.agents.command.presets import PRESETS
from worker.agents.demo_config import DemoConfig
from worker.agents.discovery import MODELS, ModelProvider, Served, found_agents, served_agents
from worker.agents.openai.openai_config import OpenAIConfig
from worker.agents.opening import open_agents


@pytest.fixture
def bin(tmp_path: Path) -> Path:
    """The only directory on PATH."""
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def install(bin: Path, name: str, script: str = "exit 0") -> None:
    (bin / name).write_text(f"#!/bin/sh\n{script}\n")
    (bin / name).chmod(0o700)


def found(bin: Path, **environment: str) -> Served:
    return found_agents({"PATH": str(bin), **environment})


def described(served: Served) -> dict[str, str]:
    return {one.agent_id: str(one) for one in served.found}


# --- nothing ----------------------------------------------------------------------------------------------------------


def test_where_nothing_is_found_the_demo_answers_and_what_was_looked_for_is_said(bin: Path) -> None:
    served = found(bin)
    assert list(served.configs) == ["main", "demo"]
    assert all(isinstance(config, DemoConfig) for config in served.configs.values())
    assert served.suggested == "main"
    assert described(served)["main"] == (
        "The demo agent, which repeats each message (no model's key is set, and none of "
        "claude, codex, gemini, opencode, pi, openclaw is on PATH)"
    )


def test_an_empty_key_and_a_file_that_is_no_program_are_nothing(bin: Path) -> None:
    (bin / "claude").touch()
    assert list(found(bin, OPENAI_API_KEY=" ").configs) == ["main", "demo"]


def test_an_environment_without_path_has_that_of_the_system() -> None:
    assert found_agents({}) == found_agents({"PATH": os.defpath})


# --- models -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "key", "base_url", "model"),
    [
        ("openai", "OPENAI_API_KEY", "https://api.openai.com/v1", "gpt-5.4-mini"),
        ("anthropic", "ANTHROPIC_API_KEY", "https://api.anthropic.com/v1", "claude-haiku-4-5"),
        (
            "google",
            "GEMINI_API_KEY",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "gemini-flash-latest",
        ),
    ],
)
def test_a_models_key_makes_it_the_agent_of_every_request(
    bin: Path, agent: str, key: str, base_url: str, model: str
) -> None:
    install(bin, "claude")
    served = found(bin, **{key: "s3cret"})
    config = served.configs["main"]
    assert isinstance(config, OpenAIConfig)
    assert (config.base_url, config.model, config.api_key_env) == (base_url, model, key)
    assert list(served.configs) == ["main", agent, "claude", "demo"]
    assert served.configs[agent] == config
    assert served.suggested == "main"
    assert described(served)["main"] == f"The model {model} at {base_url.split('/')[2]} ({key} is set)"
    assert "s3cret" not in str(described(served))


def test_of_several_models_the_first_is_the_agent_of_every_request(bin: Path) -> None:
    served = found(bin, **{model.key: "s3cret" for model in MODELS.values()})
    assert list(served.configs) == ["main", *MODELS, "demo"]
    assert served.configs["main"] == served.configs["openai"]


def test_the_variables_of_the_vendors_tools_choose_server_and_model(bin: Path) -> None:
    environment = {
        "OPENAI_API_KEY": "s3cret",
        "OPENAI_BASE_URL": "http://me:s3cret@localhost:11434/v1/",
        "OPENAI_MODEL": "llama",
        "ANTHROPIC_API_KEY": "s3cret",
        "ANTHROPIC_BASE_URL": "http://proxy:8080",
        "GEMINI_API_KEY": "s3cret",
        "GOOGLE_GEMINI_BASE_URL": "http://proxy:8081/",
    }
    served = found(bin, **environment)
    urls = [config.base_url for config in served.configs.values() if isinstance(config, OpenAIConfig)]
    assert urls[1:] == [
        "http://me:s3cret@localhost:11434/v1",
        "http://proxy:8080/v1",
        "http://proxy:8081/v1beta/openai",
    ]
    assert described(served)["openai"] == "The model llama at localhost (OPENAI_API_KEY is set)"
    assert "s3cret" not in str(described(served))


@pytest.mark.parametrize("address", ["localhost:8000", "http://[broken"])
def test_an_address_that_is_none_is_told_without_it(bin: Path, address: str) -> None:
    with pytest.raises(SettingsError) as wrong:
        found(bin, OPENAI_API_KEY="s3cret", OPENAI_BASE_URL=address)
    assert str(wrong.value) == (
        "OPENAI_BASE_URL: must be an http:// or https:// address, such as https://api.openai.com/v1"
    )


def test_the_model_that_is_asked_by_itself_is_one_that_the_client_knows() -> None:
    known = {name for option in get_args(ChatModel) for name in (get_args(option) or (option,))}
    assert MODELS["openai"].model in known


# --- CLIs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_a_cli_answers_to_its_own_name_and_to_no_other(bin: Path, name: str) -> None:
    """A client that requests any model must not start a CLI that edits files."""
    install(bin, name)
    served = found(bin)
    config = served.configs[name]
    assert isinstance(config, CommandConfig)
    assert config.preset == name
    assert isinstance(served.configs["main"], DemoConfig)
    assert served.suggested == name
    assert described(served)["main"].endswith("(a CLI answers to its own name only)")
    assert described(served)[name] == f"The CLI {name} (it is on PATH: {bin / name})"


@pytest.mark.slow
async def test_what_is_found_can_be_opened_and_answers(bin: Path, tmp_path: Path) -> None:
    install(bin, "claude", """echo '{"type":"result","subtype":"success","is_error":false,"result":"Hi."}'""")
    served = found(bin, OPENAI_API_KEY="s3cret")
    environment = {"PATH": str(bin), "OPENAI_API_KEY": "s3cret"}
    async with open_agents(served.configs, environment, work_root=tmp_path / "work") as agents:
        assert list(agents) == ["main", "openai", "claude", "demo"]
        assert await answer(agents["claude"], asked("Say hello")) == "Hi."


# --- a file -----------------------------------------------------------------------------------------------------------


def test_with_a_file_nothing_is_looked_for(bin: Path, tmp_path: Path) -> None:
    install(bin, "claude")
    (tmp_path / "agents.toml").write_text('[agents.mine]\nkind = "demo"\n')
    environment = {"PATH": str(bin), "OPENAI_API_KEY": "s3cret"}
    served = served_agents(tmp_path / "agents.toml", required=False, environment=environment)
    assert served == Served({"mine": DemoConfig()})


@pytest.mark.parametrize(("ids", "first"), [("mine yours", "mine"), ("mine main", "main"), ("mine *", "main")])
def test_an_agent_of_the_file_is_suggested_that_answers(ids: str, first: str) -> None:
    assert Served({agent_id: DemoConfig() for agent_id in ids.split()}).suggested == first


def test_only_a_file_that_nobody_asked_for_may_be_missing(tmp_path: Path) -> None:
    missing, environment = tmp_path / "agents.toml", {"PATH": "/nowhere"}
    assert served_agents(missing, required=False, environment=environment) == found_agents(environment)
    with pytest.raises(SettingsError, match="no such file"):
        served_agents(missing, required=True, environment=environment)


@pytest.mark.parametrize(("agent", "model"), MODELS.items())
def test_each_model_is_documented(agent: str, model: ModelProvider) -> None:
    (line,) = [line for line in Path("docs/agents.md").read_text().splitlines() if line.startswith(f"| `{model.key}`")]
    for said in (agent, model.model, model.name, model.server, model.base):
        assert f"`{said}`" in line
