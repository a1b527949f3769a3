"""Redis's replies, converted into the types that the caller expects.

A reply of another type is no answer to what was asked, so it counts as none: the caller gets `Unavailable`. So whatever
decides about a run comes in a list (HMGET, not HGET): a status line of Redis is bytes, too, and would be taken for the
run's own. Bytes that are no UTF-8 get replacement characters: the reader of the text finds out whether it can do with
that.
"""

from __future__ import annotations

from shared.run.errors import Unavailable

# redis-py turns the reply to HGETALL into a dict, and the entries of XRANGE into (id, fields) pairs.
Reply = bytes | int | list["Reply"] | dict[bytes, bytes] | tuple[bytes, dict[bytes, bytes]] | None


def text(reply: Reply) -> str:
    if not isinstance(reply, bytes):
        raise unexpected(reply)
    return reply.decode(errors="replace")


def texts(reply: Reply) -> list[str]:
    return [str(item) if isinstance(item, int) else text(item) for item in items(reply)]


def optional_texts(reply: Reply) -> list[str]:
    """The reply to HMGET, with an empty text for each missing field."""
    return ["" if item is None else text(item) for item in items(reply)]


def rows(reply: Reply) -> list[list[str]]:
    return [texts(row) for row in items(reply)]


def items(reply: Reply) -> list[Reply]:
    if not isinstance(reply, list):
        raise unexpected(reply)
    return reply


def only(reply: Reply) -> Reply:
    """The one item of a list."""
    match reply:
        case [item]:
            return item
        case _:
            raise unexpected(reply)


def number(reply: Reply) -> int:
    if not isinstance(reply, int):
        raise unexpected(reply)
    return reply


def mapping(reply: Reply) -> dict[str, str]:
    """A flat list of names and values in turn, or the dict that redis-py makes of it for commands that it knows."""
    if isinstance(reply, dict):
        return {text(name): text(value) for name, value in reply.items()}
    flat = texts(reply)
    return dict(zip(flat[::2], flat[1::2], strict=False))


def unexpected(reply: object) -> Unavailable:
    return Unavailable(f"a reply of another type ({type(reply).__name__})")
