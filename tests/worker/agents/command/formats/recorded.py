"""What the real CLIs have printed (tests/agents/record.py), as the formats read it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.run.errors import RunError
from worker.agents.command.formats.format_registry import FORMATS
from worker.agents.protocol import AgentConversation, AgentEvent, AgentOutput

# What a run fails with that had a model's server refuse this.
CODES = {
    "refused-key": "upstream_error",
    "rate-limit": "rate_limit_exceeded",
    "too-long": "context_length_exceeded",
}

FIXTURES = Path(__file__).parent / "fixtures"


class Record:
    """One run of a CLI, read to its end."""

    def __init__(self, cli: str, case: str) -> None:
        about = json.loads((FIXTURES / cli / "about.json").read_text())
        self.code: int = about["exits"][case]
        self._reading = FORMATS[cli]()
        self._printed = (FIXTURES / cli / f"{case}.jsonl").read_bytes()

    def heard(self) -> list[AgentOutput]:
        """All of it, of a run that went well and printed nothing unknown."""
        heard = [*self._reading.feed(self._printed), *self._reading.end()]
        self._reading.ended(self.code)
        assert self._reading.skipped == {}
        return heard

    def said(self) -> list[AgentEvent]:
        """What readers get of it."""
        return _for_readers(self.heard())

    def failure(self) -> RunError:
        """Why the run failed. Nothing was said of it."""
        with pytest.raises(RunError) as failed:
            self.said()
        return failed.value


def said(cli: str, case: str) -> list[AgentEvent]:
    return Record(cli, case).said()


def conversations(cli: str, case: str) -> list[str]:
    """What the CLI calls the conversation, as often as it is said."""
    return [heard.id for heard in Record(cli, case).heard() if isinstance(heard, AgentConversation)]


def failure(cli: str, case: str) -> tuple[str, str]:
    """Its code, and what clients get to see."""
    failed = Record(cli, case).failure()
    return failed.code, failed.message


def lines(printed: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in printed)


def read(cli: str, *printed: Mapping[str, Any], code: int = 0) -> list[AgentEvent]:
    """What a run says that has printed this."""
    reading = FORMATS[cli]()
    said = [*reading.feed(lines(printed)), *reading.end()]
    reading.ended(code)
    return _for_readers(said)


def _for_readers(heard: Iterable[AgentOutput]) -> list[AgentEvent]:
    return [said for said in heard if not isinstance(said, AgentConversation)]
