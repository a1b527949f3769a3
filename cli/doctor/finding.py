"""A finding of the doctor: one check, what it saw, and what to do."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

Level = Literal["ok", "warn", "bad"]


class Finding(BaseModel):
    """`bad` has to be mended: runs are lost, or the service does not work. `warn` is for the operator to decide."""

    level: Level
    check: str
    seen: str
    do: str = ""


def ok(check: str, seen: str) -> Finding:
    return Finding(level="ok", check=check, seen=seen)


def warn(check: str, seen: str, do: str) -> Finding:
    return Finding(level="warn", check=check, seen=seen, do=do)


def bad(check: str, seen: str, do: str) -> Finding:
    return Finding(level="bad", check=check, seen=seen, do=do)
