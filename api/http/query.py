"""Query parameters: each function returns the value, or raises an ApiError 400 that names the allowed values."""

from __future__ import annotations

import re
from enum import StrEnum

from api.http import api_errors

LARGEST = 2**53  # JavaScript's numbers are exact up to here
CURSOR = r"|[0-9]{1,16}(\.[0-9]{1,9})?"  # a `next_cursor`, or nothing: the first page


def flag(text: str | None, name: str) -> bool:
    """An absent parameter is false."""
    match text:
        case None | "false" | "0":
            return False
        case "true" | "1":
            return True
        case _:
            raise api_errors.invalid_value(name, "must be true or false")


def number(text: str | None, name: str, *, default: int = 0, least: int = 0, most: int = LARGEST) -> int:
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,16}", text) or not least <= int(text) <= most:
        raise api_errors.invalid_value(name, f"must be a whole number from {least} to {most}")
    return int(text)


def one_of(text: str | None, name: str, words: type[StrEnum]) -> str:
    """An absent parameter is the empty string."""
    if text is not None and text not in set(words):
        raise api_errors.invalid_value(name, f"must be one of {', '.join(words)}")
    return text or ""


def cursor(text: str, name: str = "cursor") -> str:
    if not re.fullmatch(CURSOR, text):
        raise api_errors.invalid_value(name, "must be a `next_cursor`")
    return text
