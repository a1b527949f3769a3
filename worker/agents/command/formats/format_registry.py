"""The formats, by their names in `agents.toml`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from worker.agents.command.formats.claude import Claude
from worker.agents.command.formats.codex import Codex
from worker.agents.command.formats.format_parser import FormatParser, one_object
from worker.agents.command.formats.gemini import Gemini
from worker.agents.command.formats.openclaw import OpenClaw
from worker.agents.command.formats.opencode import OpenCode
from worker.agents.command.formats.pi import Pi

# A new format is a file beside this one, one entry here, and one in `CommandConfig.output`.
FORMATS: Mapping[str, Callable[[], FormatParser]] = {
    "claude": lambda: FormatParser("claude", Claude()),
    "codex": lambda: FormatParser("codex", Codex()),
    "gemini": lambda: FormatParser("gemini", Gemini()),
    "opencode": lambda: FormatParser("opencode", OpenCode()),
    "pi": lambda: FormatParser("pi", Pi()),
    "openclaw": lambda: FormatParser("openclaw", OpenClaw(), one_object),
}
