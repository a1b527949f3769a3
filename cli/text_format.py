"""Formats durations, sizes and text for people. Pure."""

from __future__ import annotations

import re

_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def duration(ms: float | None) -> str:
    """Such as `1.5 s`; `-` for None."""
    if ms is None:
        return "-"
    for length, unit in _UNITS:
        if ms >= length:
            return f"{ms / length:.3g} {unit}"
    return f"{ms:.3g} ms"


def size(count: int | None) -> str:
    if count is None:
        return "-"
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if count >= 1024**power:
            return f"{count / 1024**power:.3g} {unit}"
    return f"{count} B"


def line(text: str | None) -> str:
    """The text on one line and without control characters; `-` when it is empty."""
    return _CONTROL.sub(" ", text or "") or "-"
