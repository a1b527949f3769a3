"""The drivers of the CLIs, by the names of their formats."""

from __future__ import annotations

from collections.abc import Mapping

from worker.agents.command.warm.acp_driver import AcpDriver
from worker.agents.command.warm.claude_driver import ClaudeDriver
from worker.agents.command.warm.codex_driver import CodexDriver
from worker.agents.command.warm.driver import DriverSpec
from worker.agents.command.warm.pi_driver import PiDriver

# A new driver is a file beside this one, one entry here, and the command line in `presets.py`.
DRIVERS: Mapping[str, DriverSpec] = {
    "claude": DriverSpec(ClaudeDriver),
    "codex": DriverSpec(CodexDriver, can_change_folder=True),
    "gemini": DriverSpec(AcpDriver, can_change_folder=True),
    "opencode": DriverSpec(AcpDriver, can_change_folder=True),
    "pi": DriverSpec(PiDriver),
}
