"""Packing: the events of a finished log, made small. Two pure functions; what goes in comes out, byte for byte.

A model's answer is thousands of events that differ from the one before them in their number, which grows by one, in
their time and in a few characters of text. Such events stand as a column: once what they share, and of each what
differs. All others stand as they are, also those of a later release, whatever is in them: nothing here reads JSON.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from pydantic import ConfigDict, TypeAdapter

# The fields of an entry of the stream: an event, as `shared/log/scripts/log.lua` writes it, or a block of events.
EVENT, BLOCK = b"e", b"z"

# What a block holds at most. Readers count on both, also those of an earlier release: first they must, then blocks may
# be larger.
BLOCK_EVENTS = 500
BLOCK_BYTES = 262_144

_INFLATED_BYTES = 8 * BLOCK_BYTES  # of one byte, JSON makes six at most

# No text of an agent makes the search long: before `data`, only the session's key is a client's.
_NUMBER = r"([1-9][0-9]{0,15})"
_TEXT = r'[^"\\]*(?:\\.[^"\\]*)*'
_SPOKEN = re.compile(
    rf'(\{{[^{{]*"seq":){_NUMBER}(,"ts":){_NUMBER}'
    rf'(,"sessionKey":"{_TEXT}",[^{{]*\{{(?:"index":[0-9]+,)?"(?:delta|arguments)":")({_TEXT})(".*)'
)


class Column(NamedTuple):
    """Events with numbers from `first` on. `shared` stands before the number, between number and time, between time and
    text, and after the text. `times`: the first one's, then what passed until the next."""

    shared: tuple[str, str, str, str]
    first: int
    times: list[int]
    texts: list[str]


class PackedEntry(NamedTuple):
    """What an entry of the stream says of so many events."""

    events: int
    field: bytes
    value: bytes


# What fails to parse is an answer, and an error's text may be logged.
_PIECES: TypeAdapter[list[str | Column]] = TypeAdapter(list[str | Column], config=ConfigDict(hide_input_in_errors=True))


def pack(lines: Sequence[bytes]) -> Iterator[PackedEntry]:
    """Events, each the JSON of one in UTF-8, in as few entries as can be. One that no block can hold stays as it is."""
    for batch in _batches(lines):
        match batch:
            case [alone]:
                yield PackedEntry(1, EVENT, alone)
            case _:
                yield PackedEntry(len(batch), BLOCK, zlib.compress(_PIECES.dump_json(_pieces(batch))))


def unpack(entry: Mapping[bytes, bytes]) -> list[bytes]:
    """The events of an entry. Raises ValueError for what no release has packed, before it takes up much memory."""
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
        spoken = _SPOKEN.fullmatch(text)
        if spoken is None:
            pieces.append(text)
            column = None
            continue
        before, number, between, time, after, said, end = spoken.groups()
        shared, seq, ts = (before, between, after, end), int(number), int(time)
        if column is None or column.shared != shared or column.first + len(column.texts) != seq:
            column, last = Column(shared, seq, [], []), 0
            pieces.append(column)
        column.times.append(ts - last)
        column.texts.append(said)
        last = ts
    return pieces


def _lines(pieces: Iterable[str | Column]) -> Iterator[bytes]:
    for piece in pieces:
        if isinstance(piece, str):
            yield piece.encode()
            continue
        before, between, after, end = piece.shared
        spoken = zip(accumulate(piece.times), piece.texts, strict=True)
        for number, (time, text) in enumerate(spoken, piece.first):
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
