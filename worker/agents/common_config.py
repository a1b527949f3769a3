"""The keys of every kind of agent in agents.toml, and types of keys that several kinds have."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from shared.run.output_bounds import ACTIVITY_CHARS, ANSWER_CHARS, MOST_CHARS
from shared.run.run import Policy


class CommonConfig(Policy):
    """The keys of every kind, besides those of its Policy. Each kind adds `kind`, a `Literal` of its own name."""

    model_config = ConfigDict(frozen=True, alias_generator=None)

    description: str = ""
    timeout_seconds: float | None = Field(None, gt=0, allow_inf_nan=False)  # None: RUN_TIMEOUT_SECONDS
    silent_seconds: float | None = Field(None, gt=0, allow_inf_nan=False)  # None: the agent may be silent for any time
    max_answer_chars: int = Field(ANSWER_CHARS, ge=1, le=MOST_CHARS)
    max_activity_chars: int = Field(ACTIVITY_CHARS, ge=0, le=MOST_CHARS)  # of tools, reasoning and usage

    @property
    def policy(self) -> Policy:
        return Policy(**{name: getattr(self, name) for name in Policy.model_fields})


def _variable(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*", text, re.ASCII):
        raise ValueError("must be the name of an environment variable")
    return text


PATIENCE_SECONDS = 5.0

# Between the end that an agent has told and the end of its process or connection; then the worker ends that.
Patience = Annotated[float, Field(gt=0, le=3_600, allow_inf_nan=False)]

VariableName = Annotated[str, AfterValidator(_variable)]
