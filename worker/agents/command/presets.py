"""The keys that `preset = "..."` fills in for an agent of kind `command`. A key written beside it counts instead.

All presets take the prompt on stdin, so that no option parser sees it. The CLIs may write in their working directory,
which is the session's own, and nowhere else as far as the CLI can prevent it: no user is there to approve more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SESSION_WORKDIR = "{session}"
DEFAULT_ENV = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR")

# A model may think for long before it says a word. The time of a tool does not count.
SILENT_SECONDS = 300.0
SILENT_BETWEEN_MESSAGES = 480.0  # for a CLI that prints only whole messages

_NETWORK = "HTTP_PROXY HTTPS_PROXY NO_PROXY NODE_EXTRA_CA_CERTS SSL_CERT_FILE "
_ANTHROPIC = "ANTHROPIC_API_KEY ANTHROPIC_BASE_URL "
_OPENAI = "OPENAI_API_KEY OPENAI_BASE_URL "
_GOOGLE = "GEMINI_API_KEY GOOGLE_API_KEY "
_ANY = _ANTHROPIC + _OPENAI + _GOOGLE + "OPENROUTER_API_KEY "


@dataclass(frozen=True)
class Preset:
    """Words are separated by spaces."""

    command: str
    resume: str  # options that continue a conversation of the CLI's own; empty: it keeps none that can be continued
    forget: str  # options that make the CLI keep no conversation
    env: str  # the variables that the CLI gets besides DEFAULT_ENV and those of the network
    silent_seconds: float | None = None  # None: the CLI prints nothing before its end
    warm: str = ""  # the command line that reads one turn after the other; empty: the CLI has none


PRESETS: Mapping[str, Preset] = {
    "claude": Preset(
        "claude -p --output-format stream-json --verbose --include-partial-messages --permission-mode acceptEdits",
        "--resume {conversation}",
        "--no-session-persistence",
        _ANTHROPIC + "ANTHROPIC_AUTH_TOKEN ANTHROPIC_MODEL CLAUDE_CODE_OAUTH_TOKEN CLAUDE_CONFIG_DIR "
        "CLAUDE_CODE_MAX_RETRIES CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
        SILENT_SECONDS,
        "claude -p --input-format stream-json --output-format stream-json --verbose --include-partial-messages "
        "--replay-user-messages --permission-mode acceptEdits --no-session-persistence",
    ),
    "codex": Preset(
        "codex exec --json --skip-git-repo-check --sandbox workspace-write",
        "resume {conversation} -",
        "--ephemeral",
        _OPENAI + "CODEX_API_KEY CODEX_HOME",
        SILENT_BETWEEN_MESSAGES,
        "codex app-server -c sandbox_mode=workspace-write -c approval_policy=never",
    ),
    "gemini": Preset(
        "gemini --output-format stream-json --approval-mode auto_edit --skip-trust",
        "--resume {conversation}",
        "",
        _GOOGLE + "GEMINI_MODEL GEMINI_CLI_HOME GOOGLE_GEMINI_BASE_URL GOOGLE_CLOUD_PROJECT GOOGLE_CLOUD_LOCATION "
        "GOOGLE_GENAI_USE_VERTEXAI GOOGLE_APPLICATION_CREDENTIALS",
        SILENT_SECONDS,
        "gemini --acp --approval-mode auto_edit --skip-trust",
    ),
    "opencode": Preset(
        "opencode run --format json --thinking",
        "--session {conversation}",
        "",
        _ANY + "OPENCODE_API_KEY OPENCODE_CONFIG OPENCODE_DISABLE_AUTOUPDATE OPENCODE_DISABLE_MODELS_FETCH "
        "XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME",
        SILENT_BETWEEN_MESSAGES,
        "opencode acp",
    ),
    "pi": Preset(
        "pi --mode json -p",
        "--session {conversation}",
        "--no-session",
        _ANY + "PI_CODING_AGENT_DIR PI_OFFLINE PI_TELEMETRY",
        SILENT_SECONDS,
        "pi --mode rpc --no-session",
    ),
    "openclaw": Preset(
        "openclaw agent exec --json --message-file -",
        "",
        "",
        _ANY + "OPENCLAW_CONFIG_PATH OPENCLAW_STATE_DIR",
    ),
}


def filled(preset: str, written: Mapping[str, object]) -> dict[str, object]:
    """The keys of an agent: those of the preset, overridden by the written ones."""
    it = PRESETS[preset]
    warm = bool(it.warm) and "warm" in written
    return {
        "command": (it.warm if warm else it.command).split(),
        "resume": [] if warm else it.resume.split(),
        "forget": [] if warm else it.forget.split(),
        "output": preset,
        "env": [*DEFAULT_ENV, *_NETWORK.split(), *it.env.split()],
        "workdir": SESSION_WORKDIR,
        "silent_seconds": it.silent_seconds,
        **written,
    }
