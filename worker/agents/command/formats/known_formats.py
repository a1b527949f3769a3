"""The formats by the names that `agents.toml` has for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from worker.agents.command.formats.claude import Claude
from worker.agents.command.formats.codex import Codex
from worker.agents.command.formats.gemini import Gemini
from worker.agents.command.formats.openclaw import OpenClaw
from worker.agents.command.formats.opencode import OpenCode
from worker.agents.command.formats.pi import Pi
from worker.agents.command.formats.reading import Reading
from worker.agents.command.formats.whole_output import Whole

# A new format is a file beside this one, one entry here, and one in `config.CommandConfig.output`.
FORMATS: Mapping[str, Callable[[], Reading]] = {
    "claude": lambda: Reading("claude", Claude()),
    "codex": lambda: Reading("codex", Codex()),
    "gemini": lambda: Reading("gemini", Gemini()),
    "opencode": lambda: Reading("opencode", OpenCode()),
    "pi": lambda: Reading("pi", Pi()),
    "openclaw": lambda: Reading("openclaw", OpenClaw(), Whole),
}
