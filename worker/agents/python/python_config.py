"""The keys of an agent of kind `python` in agents.toml."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

from worker.agents.common_config import CommonConfig


def _entry(text: str) -> str:
    if not re.fullmatch(r"[\w.]+:[\w.]+", text):
        raise ValueError("must be module:attribute, such as examples.python.echo:reply")
    return text


class PythonConfig(CommonConfig):
    """A function in the worker's own process."""

    kind: Literal["python"]
    entry: Annotated[str, AfterValidator(_entry)]
