"""How much of a run's output its log keeps, unless the agent's table says otherwise: Redis has to keep it, and readers
have to read it."""

from __future__ import annotations

ANSWER_CHARS = 4_194_304
ACTIVITY_CHARS = 4_194_304
MOST_CHARS = 67_108_864  # that an agent's table may set for either
