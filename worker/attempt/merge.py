"""Merges the events that an agent emits while a write is under way: adjacent text becomes one delta. Pure.

No timer decides what is merged: an idle log gets each delta at once, a busy one gets fewer and larger events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from shared.run.events import Delta, Reasoning, ToolCallDelta
from worker.agents.protocol import AgentEvent

EVENT_CHARS = 16_384  # text of one event at most: a reader's buffer is counted in events


def merged(events: Sequence[AgentEvent]) -> Iterator[AgentEvent]:
    match events:
        case [Delta(delta=text) as alone] if 0 < len(text) <= EVENT_CHARS:  # nearly always, while the log is idle
            yield alone
        case _:
            yield from _merged(events)


def _merged(events: Sequence[AgentEvent]) -> Iterator[AgentEvent]:
    for (kind, number), group in groupby(events, key=_kind):
        if kind is Delta:
            yield from (Delta(delta=text, message=number) for text in _texts(group))
        elif kind is ToolCallDelta:
            yield from _pieces(group)
        elif kind is Reasoning:
            yield from (Reasoning(delta=text) for text in _texts(group))
        else:
            yield from group


def _kind(event: AgentEvent) -> tuple[type[AgentEvent], int]:
    match event:
        case Delta(message=number) | ToolCallDelta(index=number):
            return type(event), number
        case _:
            return type(event), 0


def _texts(group: Iterable[AgentEvent]) -> Iterator[str]:
    return _cut("".join(event.delta for event in group if isinstance(event, Delta | Reasoning)))


def _pieces(group: Iterable[AgentEvent]) -> Iterator[ToolCallDelta]:
    """The pieces of one call. Its id, name and extra fields stay in the first piece."""
    first, *_ = pieces = [event for event in group if isinstance(event, ToolCallDelta)]
    texts = list(_cut("".join(piece.arguments for piece in pieces)))
    extra = {name: value for piece in pieces for name, value in piece.extra.items()}
    if texts or first.id or extra:
        yield first.model_copy(update={"arguments": "".join(texts[:1]), "extra": extra})
    yield from (ToolCallDelta(index=first.index, arguments=text) for text in texts[1:])


def _cut(text: str) -> Iterator[str]:
    return (text[i : i + EVENT_CHARS] for i in range(0, len(text), EVENT_CHARS))
