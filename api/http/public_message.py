"""What clients may read of a run's error message: one line, without paths, addresses and secrets.

Workers should write clean messages, but agents write some of them. This is the last place to remove secrets.
"""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"""Traceback\ \(.*                         # a stack trace
      | \b(?!https?:)[a-z][a-z0-9+.-]*://\S+   # a connection string
      | \b\w+://[^\s/]*@\S*                    # a URL with a password
      | (?<![\w:./])(?:/[\w.@+-]+){2,}/?       # a path
      | \b[A-Za-z]:\\\S+                       # a path on Windows
    """,
    re.VERBOSE | re.IGNORECASE,
)
_LONGEST = 500  # characters of a message; the pattern checks twice as many, so that it also finds a secret cut in half


def public_message(message: str) -> str:
    """The first line, at most 500 characters, with `…` in place of what a client must not read."""
    first_line, *_ = message.strip().splitlines() or [""]
    return _SECRET.sub("…", first_line[: 2 * _LONGEST])[:_LONGEST]
