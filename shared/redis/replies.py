"""What Redis answers, read as what it was asked for."""

from __future__ import annotations

# Of a reply, redis-py makes a dict of HGETALL's and (id, fields) pairs of XRANGE's.
Reply = bytes | int | list["Reply"] | dict[bytes, bytes] | tuple[bytes, dict[bytes, bytes]] | None


def text(reply: Reply) -> str:
    assert isinstance(reply, bytes), reply
    return reply.decode()


def texts(reply: Reply) -> list[str]:
    assert isinstance(reply, list), reply
    return [str(item) if isinstance(item, int) else text(item) for item in reply]


def optional_texts(reply: Reply) -> list[str]:
    """Fields of a hash, in which those that are not there are empty."""
    assert isinstance(reply, list), reply
    return ["" if item is None else text(item) for item in reply]


def rows(reply: Reply) -> list[list[str]]:
    assert isinstance(reply, list), reply
    return [texts(row) for row in reply]


def mapping(reply: Reply) -> dict[str, str]:
    """A flat list of names and values, or the dict that redis-py makes of it where it knows the command."""
    if isinstance(reply, dict):
        return {text(name): text(value) for name, value in reply.items()}
    flat = texts(reply)
    return dict(zip(flat[::2], flat[1::2], strict=True))
