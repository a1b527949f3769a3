"""The recorded output of the real CLIs (tests/agents/record.py), as the formats read it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.run.errors import RunError
from worker.agents.command.formats.format_registry import FORMATS
from worker.agents.protocol import AgentConversation, AgentEvent, AgentOutput

# The error of a run for each refusal of a model's server.
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
        self._reading = FORMATS[cli.split("-")[0]]()
        self._printed = (FIXTURES / cli / f"{case}.jsonl").read_bytes()

    def heard(self) -> list[AgentOutput]:
        """All output of a run that succeeded and printed nothing unknown."""
        outputs = [*self._reading.feed(self._printed), *self._reading.end()]
        self._reading.ended(self.code)
        assert self._reading.skipped == {}
        return outputs

    def said(self) -> list[AgentEvent]:
        """The output that readers get."""
        return _for_readers(self.heard())

    def failure(self) -> RunError:
        """Why the run failed. It had no text."""
        with pytest.raises(RunError) as failed:
            self.said()
        return failed.value


def said(cli: str, case: str) -> list[AgentEvent]:
    return Record(cli, case).said()


def conversations(cli: str, case: str) -> list[str]:
    """The CLI's ids of the conversation, as often as the parser yields one."""
    return [output.id for output in Record(cli, case).heard() if isinstance(output, AgentConversation)]


def failure(cli: str, case: str) -> tuple[str, str]:
    """The error's code, and the message for clients."""
    failed = Record(cli, case).failure()
    return failed.code, failed.message


def lines(printed: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in printed)


def read(cli: str, *printed: Mapping[str, Any], code: int = 0) -> list[AgentEvent]:
    """The output for readers of a run that has printed these objects."""
    reading = FORMATS[cli]()
    outputs = [*reading.feed(lines(printed)), *reading.end()]
    reading.ended(code)
    return _for_readers(outputs)


def _for_readers(outputs: Iterable[AgentOutput]) -> list[AgentEvent]:
    return [output for output in outputs if not isinstance(output, AgentConversation)]
