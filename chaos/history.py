"""What happened in a round, as values: the clients' requests and readings, the runs in Redis, the agents' notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chaos.faults import Fault
from chaos.journal import Note
from chaos.script import Order
from chaos.service import Exit
from shared.run.events import TERMINAL_PHASES


@dataclass
class Piece:
    """What one connection brought to one reader.

    `after` is the number of the last event that the reader had from earlier pieces, when it requested only the rest.
    `text` is all the text that it has, that of earlier pieces included. `seqs` are the numbers that came, where the way
    has numbers. `end` is `stop`, the code of an error, or None when the connection ended first.
    """

    way: str  # chat, whole, resumed, events, wait
    text: str = ""
    seqs: list[int] = field(default_factory=list)
    raw: dict[int, str] = field(default_factory=dict)  # of events: the JSON of each number
    arrivals: list[tuple[int, int]] = field(default_factory=list)  # of events: number, ms since the epoch
    end: str | None = None
    after: int = 0


@dataclass
class Reading:
    """All that one reader received of one run. `outcome`: `stop`, an error's code, `left` or `hung`."""

    seed: int
    run_id: str = ""
    pieces: list[Piece] = field(default_factory=list)
    outcome: str = "hung"
    faults: list[str] = field(default_factory=list)  # answers that no client may ever get, in words


@dataclass
class ClientRequest:
    """One request of a client, however often the client had to post it."""

    order: Order
    agent: str = "main"
    session: str | None = None
    place: int = 0  # in its session's lane
    keyed: bool = False  # it has an idempotency key, so it becomes one run for certain
    foreground: bool = False
    cancelled: bool = False
    left_for: float = 0.0  # longest time without a reader that the client chose
    gone_after: float | None = None  # ms from a cancel until the last process of its command was gone
    readings: list[Reading] = field(default_factory=list)


@dataclass(frozen=True)
class Entry:
    """An event as it is in the run's stream. `at` is ms since the epoch; `raw` is its JSON."""

    seq: int
    stream: str
    attempt: int
    at: int
    raw: str
    phase: str = ""
    delta: str = ""
    message: int = 0
    worker: str = ""
    code: str = ""
    reason: str = ""

    @property
    def last(self) -> bool:
        return self.phase in TERMINAL_PHASES and self.stream == "lifecycle"


@dataclass(frozen=True)
class StoredRun:
    """What Redis holds of a run: the ledger's record and the log."""

    run_id: str
    order: Order
    agent: str
    session: str
    state: str
    code: str
    attempts: int
    tries: int
    accepted: int
    end_state: str  # the log's terminal record; empty when there is none
    end_text: str
    entries: tuple[Entry, ...]


def outcome_of(phase: str, code: str | None) -> str | None:
    """How readers name the end that a lifecycle event is; None when it ends nothing."""
    return {"end": "stop", "error": code, "cancelled": "cancelled"}.get(phase)


@dataclass(frozen=True)
class Inspected:
    """A process that was alive when the time to recover from the faults was over, or as soon as all processes served.
    `mended` is ms since the epoch."""

    name: str
    mended: int
    healthy: bool  # `/healthz` said 200
    served: bool  # an API process answered a client, a worker started an agent


@dataclass
class History:
    seed: int
    requests: Sequence[ClientRequest]
    stored_runs: Sequence[StoredRun]
    notes: Sequence[Note]
    faults: Sequence[Fault]
    immortal: Sequence[str] = ()  # keys that would stay for ever
    waiting: Sequence[str] = ()  # runs and readers that Redis still had when the time for them was over
    connections: int = 0  # left after every process had ended
    processes: Sequence[str] = ()  # left after that
    slips: Sequence[str] = ()  # output of processes that no process may write
    exits: Sequence[Exit] = ()  # that no fault explains
    inspected: Sequence[Inspected] = ()  # processes that were alive when all faults were mended

    @property
    def spoilt(self) -> Mapping[str, Order]:
        """The runs whose records or logs a fault spoilt, by their ids, and their orders."""
        return {fault.spoilt.run_id: fault.spoilt.order for fault in self.faults if fault.spoilt}
