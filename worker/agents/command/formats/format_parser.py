"""The reading of a CLI that prints JSON: bytes in, said things out, by the CLI's format."""

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
from worker.agents.command.stdout_parsers import Lines, OutputParser, Parser, check_exit
from worker.agents.jsonl import AgentEventParser
from worker.agents.protocol import AgentConversation, AgentOutput

logger = structlog.get_logger()

MAX_LINE = 16_777_216  # bytes; a CLI may print a whole conversation, with images in it, as one line

_KINDS = 20  # that are told apart in the log
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # half a character: JavaScript prints those, and no log takes them


def lines(parse: Parser) -> OutputParser:
    return Lines(parse, max_line=MAX_LINE)


class FormatParser:
    """One run of the CLI `name`. `split` says where an object begins and ends: each is a line, if nothing else is said.

    Banners and objects that the format does not know are skipped, counted, and told to the log once.
    """

    def __init__(self, name: str, format: Format, split: Callable[[Parser], OutputParser] = lines) -> None:
        self._name = name
        self._format = format
        self._output = split(self._parsed)
        self._speech = AgentEventParser()
        self._conversation: AgentConversation | None = None
        self._skipped = Counter[str]()

    @property
    def skipped(self) -> dict[str, int]:
        """How many lines of each kind were skipped so far."""
        return dict(self._skipped)

    def feed(self, chunk: bytes) -> Iterable[AgentOutput]:
        return self._output.feed(chunk)

    def end(self) -> Iterator[AgentOutput]:
        yield from self._output.end()
        self._tell()

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
            for heard in self._format.read(printed):
                yield from self._said(heard)
        except ValidationError:  # nested deeper than any reader of ours goes
            self._skip("too deep")
        except RunError:
            self._tell()
            raise

    def _said(self, heard: FormatEvent) -> Iterator[AgentOutput]:
        match heard:
            case NewMessage():
                yield from self._speech.value({"message": True})
            case Skipped():
                self._skip(heard.kind)
            case AgentConversation():
                yield from self._named(heard)
            case _:
                yield from self._speech.value(heard)

    def _named(self, own: AgentConversation) -> Iterator[AgentOutput]:
        """Said again only when it has changed, however often the CLI says it."""
        if not is_id(own.id):
            self._skip("strange conversation")
        elif own != self._conversation:
            self._conversation = own
            yield own

    def _skip(self, kind: str) -> None:
        self._skipped[kind if kind in self._skipped or len(self._skipped) < _KINDS else "other"] += 1

    def _tell(self) -> None:
        if self._skipped:
            logger.info("agent.skipped", format=self._name, lines=self.skipped)


def object_of(line: bytes) -> Object | None:
    """The JSON object of a line; None when it is none."""
    text = line.decode(errors="replace")
    try:
        printed: object = json.loads(text, parse_constant=_no_number)
        if _SURROGATE.search(text):
            printed = json.loads(well_formed(json.dumps(printed, ensure_ascii=False)))
    except (ValueError, RecursionError):
        return None
    return printed if isinstance(printed, dict) else None


def _no_number(name: str) -> None:
    """NaN and the infinities, which are no JSON."""
