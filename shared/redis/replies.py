"""Redis's replies, converted into the types that the caller expects."""

from __future__ import annotations

# redis-py turns the reply to HGETALL into a dict, and the entries of XRANGE into (id, fields) pairs.
Reply = bytes | int | list["Reply"] | dict[bytes, bytes] | tuple[bytes, dict[bytes, bytes]] | None


def text(reply: Reply) -> str:
    assert isinstance(reply, bytes), reply
    return reply.decode()


def texts(reply: Reply) -> list[str]:
    assert isinstance(reply, list), reply
    return [str(item) if isinstance(item, int) else text(item) for item in reply]


def optional_texts(reply: Reply) -> list[str]:
    """The reply to HMGET, with an empty text for each missing field."""
    assert isinstance(reply, list), reply
    return ["" if item is None else text(item) for item in reply]


def rows(reply: Reply) -> list[list[str]]:
    assert isinstance(reply, list), reply
    return [texts(row) for row in reply]


def mapping(reply: Reply) -> dict[str, str]:
    """A flat list of names and values in turn, or the dict that redis-py makes of it for commands that it knows."""
    if isinstance(reply, dict):
        return {text(name): text(value) for name, value in reply.items()}
    flat = texts(reply)
    return dict(zip(flat[::2], flat[1::2], strict=True))
