"""Packing: makes the events of a finished log small. Two pure functions; `unpack` returns what `pack` got, byte for
byte.

A model's answer is thousands of events. Each differs from the one before it only in its number, which grows by one, in
its time and in a few characters of text. A column holds such events: the shared parts once, and the differing parts of
each event. All other events stay as they are. So do the events of a later release, because this module does not parse
JSON.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from pydantic import ConfigDict, TypeAdapter

# The field of an entry of the stream: an event, as `shared/log/scripts/log.lua` writes it, or a block of events.
EVENT, BLOCK = b"e", b"z"

# The most that a block holds. `unpack` refuses more, also in an earlier release. To raise a bound, first release an
# `unpack` that accepts larger blocks, and only then a `pack` that writes them.
BLOCK_EVENTS = 500
BLOCK_BYTES = 262_144

_INFLATED_BYTES = 8 * BLOCK_BYTES  # JSON makes at most six bytes of one

# No text of an agent can make the match slow: before `data`, only the session key comes from a client.
_NUMBER = r"([1-9][0-9]{0,15})"
_TEXT = r'[^"\\]*(?:\\.[^"\\]*)*'
_TEXT_EVENT = re.compile(
    rf'(\{{[^{{]*"seq":){_NUMBER}(,"ts":){_NUMBER}'
    rf'(,"sessionKey":"{_TEXT}",[^{{]*\{{(?:"index":[0-9]+,)?"(?:delta|arguments)":")({_TEXT})(".*)'
)


class Column(NamedTuple):
    """Events with numbers from `first` on.

    `shared` has the four parts that the events have in common: before the number, between number and time, between time
    and text, and after the text. `times` has the time of the first event, then for each event the ms since the one
    before.
    """

    shared: tuple[str, str, str, str]
    first: int
    times: list[int]
    texts: list[str]


class PackedEntry(NamedTuple):
    """An entry of the stream, and how many events it holds."""

    events: int
    field: bytes
    value: bytes


# A block that fails to parse holds an agent's answer, and the text of the error may be logged.
_PIECES: TypeAdapter[list[str | Column]] = TypeAdapter(list[str | Column], config=ConfigDict(hide_input_in_errors=True))


def pack(lines: Sequence[bytes]) -> Iterator[PackedEntry]:
    """Packs events, each as JSON in UTF-8, into as few entries as the bounds of a block allow. An event that is too
    large for a block stays as it is."""
    for batch in _batches(lines):
        match batch:
            case [alone]:
                yield PackedEntry(1, EVENT, alone)
            case _:
                yield PackedEntry(len(batch), BLOCK, zlib.compress(_PIECES.dump_json(_pieces(batch))))


def unpack(entry: Mapping[bytes, bytes]) -> list[bytes]:
    """The events of an entry. Raises ValueError for a block that no release has packed, before it takes much memory."""
    if BLOCK not in entry:
        return [entry[EVENT]]
    lines, size = list[bytes](), 0
    for line in _lines(_PIECES.validate_json(_inflated(entry[BLOCK]))):
        lines.append(line)
        size += len(line)
        if len(lines) > BLOCK_EVENTS or size > BLOCK_BYTES:
            raise ValueError("a block holds more than it may")
    return lines


def _batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch, size = list[bytes](), 0
    for line in lines:
        if batch and (len(batch) == BLOCK_EVENTS or size + len(line) > BLOCK_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    if batch:
        yield batch


def _pieces(lines: Iterable[bytes]) -> list[str | Column]:
    pieces = list[str | Column]()
    column: Column | None = None
    last = 0
    for line in lines:
        text = line.decode()
        match = _TEXT_EVENT.fullmatch(text)
        if match is None:
            pieces.append(text)
            column = None
            continue
        before, number, between, time, after, delta, end = match.groups()
        shared, seq, ts = (before, between, after, end), int(number), int(time)
        if column is None or column.shared != shared or column.first + len(column.texts) != seq:
            column, last = Column(shared, seq, [], []), 0
            pieces.append(column)
        column.times.append(ts - last)
        column.texts.append(delta)
        last = ts
    return pieces


def _lines(pieces: Iterable[str | Column]) -> Iterator[bytes]:
    for piece in pieces:
        if isinstance(piece, str):
            yield piece.encode()
            continue
        before, between, after, end = piece.shared
        differing = zip(accumulate(piece.times), piece.texts, strict=True)
        for number, (time, text) in enumerate(differing, piece.first):
            yield f"{before}{number}{between}{time}{after}{text}{end}".encode()


def _inflated(block: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(block, _INFLATED_BYTES)
    except zlib.error as broken:
        raise ValueError("no block") from broken
    if not inflater.eof:
        raise ValueError("a block is cut off, or holds more than it may")
    return text
