"""What an agent said while a write was under way, made few: adjacent text becomes one delta. Pure.

No timer decides what is merged: an idle log gets each delta at once, a busy one gets fewer and larger events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from shared.events import Delta, Reasoning
from worker.agents.protocol import Spoken

EVENT_CHARS = 16_384  # text of one event at most: a reader's buffer is counted in events


def merged(spoken: Iterable[Spoken]) -> Iterator[Spoken]:
    for (kind, message), group in groupby(spoken, key=_kind):
        if kind is Delta:
            yield from (Delta(delta=text, message=message) for text in _texts(group))
        elif kind is Reasoning:
            yield from (Reasoning(delta=text) for text in _texts(group))
        else:
            yield from group


def _kind(said: Spoken) -> tuple[type[Spoken], int]:
    return type(said), said.message if isinstance(said, Delta) else 0


def _texts(group: Iterable[Spoken]) -> Iterator[str]:
    text = "".join(said.delta for said in group if isinstance(said, Delta | Reasoning))
    return (text[i : i + EVENT_CHARS] for i in range(0, len(text), EVENT_CHARS))
