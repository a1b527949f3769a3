"""Parses the output of a CLI that prints JSON, with the CLI's format: bytes in, events out."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import structlog
from pydantic import ValidationError

from shared.run.errors import RunError
from shared.run.text import well_formed
from worker.agents.command.cli_conversation import is_id
from worker.agents.command.formats.format import Format, FormatEvent, NewMessage, Object, Skipped
from worker.agents.command.stdout_parsers import LinesParser, OutputParser, Parser, check_exit
from worker.agents.jsonl import AgentEventParser
from worker.agents.protocol import AgentConversation, AgentOutput

logger = structlog.get_logger()

MAX_LINE = 16_777_216  # bytes; a CLI may print a whole conversation, with images in it, as one line

_KINDS = 20  # of skipped lines that are counted apart
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # half a character: JavaScript prints those, and no event log takes them


def lines(parse: Parser) -> OutputParser:
    return LinesParser(parse, max_line=MAX_LINE)


class FormatParser:
    """Parses one run of the CLI `name`. `split` finds the beginning and end of each object; by default each is a line.

    It skips and counts banners and objects that the format does not know, and writes the counts to the logging once.
    """

    def __init__(self, name: str, format: Format, split: Callable[[Parser], OutputParser] = lines) -> None:
        self._name = name
        self._format = format
        self._output = split(self._parsed)
        self._events = AgentEventParser()
        self._conversation: AgentConversation | None = None
        self._skipped = Counter[str]()

    @property
    def skipped(self) -> dict[str, int]:
        """How many lines of each kind the parser has skipped so far."""
        return dict(self._skipped)

    def feed(self, chunk: bytes) -> Iterable[AgentOutput]:
        return self._output.feed(chunk)

    def end(self) -> Iterator[AgentOutput]:
        yield from self._output.end()
        self._log_skipped()

    def ended(self, code: int) -> None:
        if failure := self._format.failure(code):
            raise failure
        check_exit(code)

    def _parsed(self, line: bytes) -> Iterator[AgentOutput]:
        printed = object_of(line)
        if printed is None:
            self._skip("no JSON object")
            return
        try:
            for event in self._format.read(printed):
                yield from self._outputs(event)
        except ValidationError:  # nested deeper than our events may be
            self._skip("too deep")
        except RunError:
            self._log_skipped()
            raise

    def _outputs(self, event: FormatEvent) -> Iterator[AgentOutput]:
        match event:
            case NewMessage():
                yield from self._events.parse_value({"message": True})
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
        elif own != self._conversation:
            self._conversation = own
            yield own

    def _skip(self, kind: str) -> None:
        self._skipped[kind if kind in self._skipped or len(self._skipped) < _KINDS else "other"] += 1

    def _log_skipped(self) -> None:
        if self._skipped:
            logger.info("agent.skipped", format=self._name, lines=self.skipped)


def object_of(line: bytes) -> Object | None:
    """The JSON object of a line; None when the line is not one."""
    text = line.decode(errors="replace")
    try:
        printed: object = json.loads(text, parse_constant=_no_number)
        if _SURROGATE.search(text):
            printed = json.loads(well_formed(json.dumps(printed, ensure_ascii=False)))
    except (ValueError, RecursionError):
        return None
    return printed if isinstance(printed, dict) else None


def _no_number(name: str) -> None:
    """Turns NaN and the infinities into null: they are no JSON."""
