"""The prompt as an item of a command line.

It replaces `{prompt}`, alone or as an option's value (`--prompt={prompt}`). Without a `{prompt}` it is the last item.
No shell sees it, and no option parser takes it for an option: a prompt that begins with `-` stays exact behind `--` or
`--prompt=`, and anywhere else it gets one space in front.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

PLACEHOLDER = "{prompt}"

_PLACE = re.compile(r"(--?[A-Za-z][\w-]*=)?\{prompt\}", re.ASCII)


def is_place(item: str) -> bool:
    """Whether `item` may hold the prompt. Anywhere else, as in the text of a script, it would become code."""
    return _PLACE.fullmatch(item) is not None


def with_prompt(command: Sequence[str], prompt: str) -> list[str]:
    """The command line for a prompt. NUL, which no argument can hold, becomes U+FFFD."""
    items = list(command) if any(map(is_place, command)) else [*command, PLACEHOLDER]
    prompt = prompt.replace("\0", "\ufffd")
    return [items[0], *(_filled(item, before, prompt) for before, item in pairwise(items))]


def _filled(item: str, before: str, prompt: str) -> str:
    if not is_place(item):
        return item
    option = item.removesuffix(PLACEHOLDER)
    exposed = not option and before != "--" and prompt.startswith("-")
    return f"{option}{' ' if exposed else ''}{prompt}"
