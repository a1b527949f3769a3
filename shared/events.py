"""Events that a Python agent may yield, at the address and by the names that its authors import.

This file is a promise to agents outside of this repository: names stay. Their home is `shared/run/events.py`.
"""

from __future__ import annotations

from shared.run.events import Delta as Delta
from shared.run.events import Reasoning as Reasoning
from shared.run.events import ToolCallDelta as Call
from shared.run.events import ToolUse as Tool
from shared.run.events import Usage as Usage

__all__ = ["Call", "Delta", "Reasoning", "Tool", "Usage"]
