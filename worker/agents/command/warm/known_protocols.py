"""How the CLIs are talked to, by the names of their formats."""

from __future__ import annotations

from collections.abc import Mapping

from worker.agents.command.warm.claude_stream import ClaudeTalk
from worker.agents.command.warm.codex_app_server import CodexTalk
from worker.agents.command.warm.pi_rpc import PiTalk
from worker.agents.command.warm.talk import Language

# A new one is a file beside this one, one entry here, and the command line in `presets.py`.
LANGUAGES: Mapping[str, Language] = {
    "claude": Language(ClaudeTalk),
    "codex": Language(CodexTalk, moves=True),
    "pi": Language(PiTalk),
}
