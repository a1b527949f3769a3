"""Parses the output of a CLI that prints JSON, with the CLI's format: bytes in, events out."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import structlog
from pydantic import ValidationError
from pydantic_core import from_json

from shared.run.errors import ErrorCode, RunError
from shared.run.text import well_formed
from worker.agents.command.cli_conversation import is_id
from worker.agents.command.formats.format import BrokenOff, Format, FormatEvent, NewMessage, Object, Skipped
from worker.agents.command.formats.single_object import SingleObjectParser
from worker.agents.command.stdout_parsers import LONG_HEAD, LinesParser, LongLine, OutputParser, Parser, check_exit
from worker.agents.jsonl import AgentEventParser
from worker.agents.protocol import AgentConversation, AgentOutput

logger = structlog.get_logger()

MAX_LINE = 16_777_216  # bytes; a CLI may print a whole conversation, with images in it, as one line

TOO_LONG = RunError(ErrorCode.OUTPUT_TOO_LARGE, "The agent printed more in one line than the worker reads.")
DAMAGED = RunError(ErrorCode.AGENT_PROTOCOL_ERROR, "The agent printed a damaged line, perhaps of its answer.")

_NAMES = {"type", "method", "payloads"}  # one of them is in every object of a CLI
_KINDS = 20  # of skipped lines that are counted apart
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # half a character: JavaScript prints those, and no event log takes them


ParseLong = Callable[[LongLine], Iterable[AgentOutput]]


def lines(parse: Parser, parse_long: ParseLong) -> OutputParser:
    return LinesParser(parse, parse_long, max_line=MAX_LINE)


def one_object(parse: Parser, parse_long: ParseLong) -> OutputParser:
    return SingleObjectParser(parse)


class FormatParser:
    """Parses one run of the CLI `name`. `split` finds the beginning and end of each object; by default each is a line.

    It skips and counts banners and objects that the format does not know, and writes the counts to the logging once.
    """

    def __init__(self, name: str, format: Format, split: Callable[[Parser, ParseLong], OutputParser] = lines) -> None:
        self._name = name
        self._format = format
        self._output = split(self.line, self.line)
        self._events = AgentEventParser()
        self.conversation: AgentConversation | None = None
        self._skipped = Counter[str]()

    @property
    def skipped(self) -> dict[str, int]:
        """How many lines of each kind the parser has skipped so far."""
        return dict(self._skipped)

    @property
    def over(self) -> bool:
        return self._format.over

    @property
    def busy(self) -> bool:
        return self._format.busy

    def feed(self, chunk: bytes) -> Iterable[AgentOutput]:
        return self._output.feed(chunk)

    def end(self) -> Iterator[AgentOutput]:
        yield from self._output.end()
        self._log_skipped()

    def ended(self, code: int) -> None:
        if failure := self._format.failure(code):
            raise failure
        check_exit(code)

    def line(self, line: bytes | LongLine) -> Iterator[AgentOutput]:
        """The output for one line."""
        try:
            if isinstance(line, LongLine):
                yield from self._unread(head_of(line.head), TOO_LONG)
                return
            found = objects_in(line)
            if not found.objects and not found.damaged:
                self._skip("no JSON object")
            for printed in found.objects:
                for event in self._format.read(printed):
                    yield from self._outputs(event)
            if found.damaged:
                yield from self._unread(head_of(found.damaged[:LONG_HEAD]), DAMAGED)
        except ValidationError:  # nested deeper than our events may be
            self._skip("too deep")
        except RunError:
            self._log_skipped()
            raise

    def _unread(self, head: Object, why: RunError) -> Iterator[AgentOutput]:
        """Passes over a line that cannot be read, unless the answer cannot do without it."""
        if not _NAMES & head.keys() and why is DAMAGED:  # a banner with a brace in it
            self._skip("no JSON object")
            return
        events = self._format.read_head(head)
        if events is None:
            raise RunError(why.code, why.message)
        self._skip("too long" if why is TOO_LONG else "damaged")
        for event in events:
            yield from self._outputs(event)

    def _outputs(self, event: FormatEvent) -> Iterator[AgentOutput]:
        match event:
            case NewMessage():
                yield from self._events.parse_value({"message": True})
            case BrokenOff():
                yield from self._events.parse_value({"retract": True})
            case Skipped():
                self._skip(event.kind)
            case AgentConversation():
                yield from self._named(event)
            case _:
                yield from self._events.parse_value(event)

    def _named(self, own: AgentConversation) -> Iterator[AgentOutput]:
        """Yields the conversation only when it has changed, however often the CLI prints it."""
        if not is_id(own.id):
            self._skip("strange conversation")
        elif own != self.conversation:
            self.conversation = own
            yield own

    def _skip(self, kind: str) -> None:
        self._skipped[kind if kind in self._skipped or len(self._skipped) < _KINDS else "other"] += 1

    def _log_skipped(self) -> None:
        if self._skipped:
            logger.info("agent.skipped", format=self._name, lines=self.skipped)


@dataclass(frozen=True)
class Found:
    """The objects of a line, and the rest of it from where it is no JSON."""

    objects: tuple[Object, ...]
    damaged: bytes = b""


def objects_in(line: bytes) -> Found:
    """What a line holds. Nearly always it is one object. But the CLI, or a program that it started, may have printed to
    the same stdout before it, without an end of line: a title for the terminal, colours, a word of progress, or another
    object."""
    text = line.decode(errors="replace")
    whole = _decoded(text)
    if whole is not None:
        return Found((whole[0],) if isinstance(whole[0], dict) else ())
    text, objects = _DIRT.sub("", text), list[Object]()
    while begin := _BEGIN.search(text):
        text = text[begin.start() :]
        decoded = _decoded(text, whole=False)
        if decoded is None:
            return Found(tuple(objects), text.encode(errors="replace"))
        if isinstance(decoded[0], dict):
            objects.append(decoded[0])
        text = text[decoded[1] :]
    return Found(tuple(objects))


def head_of(text: bytes) -> Object:
    """The object whose beginning this is, as far as it goes; empty when it is none."""
    begin = _BEGIN.search(text.decode(errors="replace"))
    if not begin:
        return {}
    try:
        head: object = from_json(begin.string[begin.start() :], allow_partial="trailing-strings")
    except ValueError:  # damaged in the middle: its first fields have to do
        found = _FIELDS.match(begin.string, begin.start())
        return head_of(found[0].encode(errors="replace")) if found and found.end() < len(begin.string) else {}
    return head if isinstance(head, dict) else {}


def _decoded(text: str, *, whole: bool = True) -> tuple[object, int] | None:
    """The JSON at the beginning of `text`, which has to be all of it if `whole`, and its end; None when it is none."""
    try:
        printed: object
        printed, end = (json.loads(text, parse_constant=_no_number), 0) if whole else _DECODER.raw_decode(text)
        if _SURROGATE.search(text):
            printed = json.loads(well_formed(json.dumps(printed, ensure_ascii=False)))
    except (ValueError, RecursionError):
        return None
    return printed, end


def _no_number(name: str) -> None:
    """Turns NaN and the infinities into null: they are no JSON."""


_DECODER = json.JSONDecoder(parse_constant=_no_number, strict=False)
# Terminals' sequences, and control characters that JSON never holds as they are.
_DIRT = re.compile(
    r"\x1b[\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]|[\x00-\x08\x0b-\x1f]"
)
_BEGIN = re.compile(r'\{\s*"')
_FIELDS = re.compile(r'\{(?:\s*"[^"\\]*"\s*:\s*(?:"[^"\\]*"\s*,|\{|\[\{?))*')
