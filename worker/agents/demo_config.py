"""The keys of the demo agent in agents.toml."""

from __future__ import annotations

from typing import Literal

from worker.agents.common_config import CommonConfig


class DemoConfig(CommonConfig):
    """The built-in demo agent has no keys of its own."""

    kind: Literal["demo"] = "demo"
