"""Numbers and times as people read them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

NOTHING = "–"  # noqa: RUF001 - a dash in place of a missing number
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def format_duration(ms: float | None) -> str:
    """A length of time: `350 ms`, `3.4 s`, `34 s`, `12 min`, `3 h 12 min`, `2 d 4 h`."""
    if ms is None:
        return NOTHING
    if ms < 999.5:
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = int(seconds / 60 + 0.5 / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def format_age(ms: int | None, now_ms: int) -> str:
    """The time since `ms`. Clocks of two machines may differ a little, so a time in the future counts as now."""
    return NOTHING if ms is None else format_duration(max(0, now_ms - ms))


def format_bytes(count: float | None) -> str:
    """A number of bytes: `512 B`, `1.5 MiB`."""
    if count is None:
        return NOTHING
    power = next((power for power in range(len(_UNITS)) if count < 1024 ** (power + 1)), len(_UNITS) - 1)
    scaled = count / 1024**power
    return f"{scaled:.0f} {_UNITS[power]}" if power == 0 or scaled >= 100 else f"{scaled:.1f} {_UNITS[power]}"


def format_number(number: float | None) -> str:
    """A number with thin spaces between thousands."""
    if number is None:
        return NOTHING
    text = f"{number:,.1f}" if number % 1 and number < 100 else f"{number:,.0f}"
    return text.replace(",", "\u202f")


def format_timestamp(ms: int | None) -> str:
    """A point in time: `2026-11-22 20:15:03 UTC`."""
    return "" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def format_clock(ms: int) -> str:
    """The time of day in UTC: `20:15`."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%H:%M")


def short_id(run_id: str) -> str:
    """The first eight characters of a run's id after the prefix that all ids have: enough to tell runs apart."""
    return run_id.removeprefix("chatcmpl_")[:8]
