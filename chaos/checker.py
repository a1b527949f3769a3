"""Checks a history against the promises of the service. Pure; every rule is one function that yields its violations.

The checker compares each reader with the log, and the log with the script. So it also finds a text that the worker got
wrong and the relay passed on faithfully.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from api.chat.chat_view import EMPTY_ANSWER
from chaos.history import ClientRequest, Entry, History, Piece, Reading, StoredRun, outcome_of
from chaos.journal import Note
from chaos.script import script

POISON_LOSSES = 2  # attempts that a run takes with it before it is poison
MAX_ATTEMPTS = 3  # of every agent here
GRACE_SECONDS = 8.0  # a foreground run may end as `disconnect` only when it had no reader for about this long
LATE_MS = 2_000  # after a pause; far more than a third of a lease


@dataclass(frozen=True)
class Violation:
    """A broken promise: the count it adds `size` to, the run (empty when it concerns none), and what the checker saw."""

    count: str
    run_id: str
    what: str
    size: int = 1


class IndexedHistory:
    """A history with indices from each part to the others."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.runs_by_id = {run.run_id: run for run in history.stored_runs}

    @cached_property
    def requests_by_seed(self) -> dict[int, ClientRequest]:
        return {request.order.seed: request for request in self.history.requests}

    @cached_property
    def runs_by_seed(self) -> dict[int, list[StoredRun]]:
        found = defaultdict(list)
        for run in self.history.stored_runs:
            found[run.order.seed].append(run)
        return found

    @cached_property
    def starts(self) -> dict[str, list[int]]:
        """By run id: the times at which its agent started, ms since the epoch."""
        found = defaultdict(list)
        for note in self.history.notes:
            if note.event == "start":
                found[note.run_id].append(note.at)
        return found

    def in_time(self, run: StoredRun) -> list[int]:
        """The times of the agent's starts before the run had ended, ms since the epoch."""
        return [at for at in self.starts.get(run.run_id, ()) if at <= _end(run)]

    def without_disk(self, run: StoredRun) -> bool:
        """Whether the disk was full during the run of a command."""
        full = [fault for fault in self.history.faults if fault.kind == "disk_full"]
        began = run.entries[0].at if run.entries else run.accepted
        return run.agent == "shell" and any(fault.begun <= _end(run) and began <= fault.mended for fault in full)

    def late(self) -> Iterator[Note]:
        """The starts of agents after their run had ended."""
        for note in self.history.notes:
            run = self.runs_by_id.get(note.run_id)
            if note.event == "start" and run is not None and note.at > _end(run):
                yield note

    def readings(self) -> Iterator[tuple[ClientRequest, Reading]]:
        for request in self.history.requests:
            for reading in request.readings:
                yield request, reading


def _end(run: StoredRun) -> int:
    return run.entries[-1].at if run.entries else 0


def flat(entries: tuple[Entry, ...]) -> str:
    """The assistant text of events: messages joined by a blank line."""
    messages: dict[int, str] = {}
    for entry in entries:
        if entry.delta:
            messages[entry.message] = messages.get(entry.message, "") + entry.delta
    return "\n\n".join(text for _, text in sorted(messages.items()))


# --- runs -------------------------------------------------------------------------------------------------------------


def lost_runs(index: IndexedHistory) -> Iterator[Violation]:
    """Redis has a record of every run whose id a client has received."""
    for _, reading in index.readings():
        if reading.run_id and reading.run_id not in index.runs_by_id:
            yield Violation("runs lost", reading.run_id, "a client was told of it, and no record of it is left")


def unended(index: IndexedHistory) -> Iterator[Violation]:
    """A run has exactly one terminal event, it is the last one, and the record has the state that it has."""
    for run in index.history.stored_runs:
        last = [entry.seq for entry in run.entries if entry.last]
        if run.state not in ("completed", "failed", "cancelled"):
            yield Violation("runs without one end", run.run_id, f"is {run.state}")
        elif run.end_state != run.state:
            yield Violation("runs without one end", run.run_id, f"ledger {run.state}, log {run.end_state or 'open'}")
        elif last != [len(run.entries)]:
            yield Violation("runs without one end", run.run_id, f"{len(run.entries)} events, terminal are {last}")


def holes(index: IndexedHistory) -> Iterator[Violation]:
    for run in index.history.stored_runs:
        seqs = [entry.seq for entry in run.entries]
        if seqs != list(range(1, len(seqs) + 1)):
            yield Violation("logs with holes", run.run_id, f"numbers {seqs}")


def wrong_words(index: IndexedHistory) -> Iterator[Violation]:
    """The text of each attempt is the beginning of the script's text. The last attempt of a run that the agent ended
    has all of it. The terminal record has the text of the events.
    """
    for run in index.history.stored_runs:
        whole = script(run.order).text
        attempts = sorted({entry.attempt for entry in run.entries if entry.delta})
        for attempt in attempts:
            text = flat(tuple(entry for entry in run.entries if entry.attempt == attempt))
            if not whole.startswith(text.removeprefix("\n\n")):
                yield Violation("logs with wrong text", run.run_id, f"attempt {attempt}: {_differs(text, whole)}")
        if run.end_text != flat(run.entries):
            yield Violation("logs with wrong text", run.run_id, "the terminal record says another text than the events")
        ends = run.entries[-1:] and run.entries[-1]
        if ends and (ends.phase == "end" or (ends.code == "agent_failed" and not index.without_disk(run))):
            text = flat(tuple(entry for entry in run.entries if entry.attempt == ends.attempt))
            if text != whole:
                yield Violation("logs with wrong text", run.run_id, f"ended, but {_differs(text, whole)}")


def needless_ends(index: IndexedHistory) -> Iterator[Violation]:
    """A run ends as its agent ends it, unless a client cancelled or left it, or its worker was lost and the agent's
    rule forbids another attempt.
    """
    for run in index.history.stored_runs:
        request, last = index.requests_by_seed.get(run.order.seed), run.entries[-1:] and run.entries[-1]
        if not last or not last.last:
            continue
        reason = _needless(run, last, request, without_disk=index.without_disk(run))
        if reason:
            yield Violation("runs that ended without need", run.run_id, reason)


def _needless(run: StoredRun, last: Entry, request: ClientRequest | None, *, without_disk: bool) -> str:
    match last.phase, last.code or last.reason:
        case "end", _:
            return "completed, but its script fails" if script(run.order).fails else ""
        case "error", "agent_failed":
            return (
                ""
                if script(run.order).fails or without_disk
                else "the log has a failure that is not in the agent's script"
            )
        case "error", "worker_lost":
            may_run_again = run.agent != "never" and (run.agent == "again" or not flat(run.entries))
            return f"worker_lost after {run.tries} tries" if may_run_again and run.tries <= MAX_ATTEMPTS else ""
        case "error", "poisoned":
            return "" if run.attempts > POISON_LOSSES else f"poisoned after {run.attempts} attempts"
        case "cancelled", "user":
            return "" if request is not None and request.cancelled else "cancelled, but no client had requested it"
        case "cancelled", "disconnect":
            alone = request is not None and request.foreground and request.left_for > GRACE_SECONDS
            return "" if alone else f"cancelled for want of readers, who were away for {request and request.left_for} s"
        case phase, why:
            return f"{phase}: {why}"


# --- once -------------------------------------------------------------------------------------------------------------


def accepted_twice(index: IndexedHistory) -> Iterator[Violation]:
    """A client's request is one run, however often the client posted it. Only a request with a key is promised this."""
    for seed, runs in index.runs_by_seed.items():
        request = index.requests_by_seed.get(seed)
        if len(runs) > 1 and request is not None:
            count = "requests that became two runs" if request.keyed else "keyless requests that became two runs"
            yield Violation(count, runs[0].run_id, f"also {[run.run_id for run in runs[1:]]}", len(runs) - 1)


def executed_twice(index: IndexedHistory) -> Iterator[Violation]:
    for run in index.history.stored_runs:
        starts = [entry for entry in run.entries if entry.phase == "start" and entry.stream == "lifecycle"]
        noted = len(index.starts.get(run.run_id, ()))
        with_text = sorted({entry.attempt for entry in run.entries if entry.delta})
        if run.agent == "never" and max(noted, len(starts)) > 1:
            yield Violation("runs executed twice", run.run_id, f"{noted} starts of an agent that may start once")
        if run.agent in ("main", "shell"):
            again = [start.attempt for start in starts if with_text and start.attempt > with_text[0]]
            if again or len(with_text) > 1:
                what = f"attempts {with_text} have text, attempts {again} started after the first of them"
                yield Violation("runs executed twice", run.run_id, what)
        if noted > len(starts):
            yield Violation("runs executed twice", run.run_id, f"{noted} starts of the agent, {len(starts)} in the log")


def late_starts(index: IndexedHistory) -> Iterator[Violation]:
    """No agent starts after its run has ended, with one exception that no lease can prevent. A worker may be paused
    after the log has accepted its attempt and before it starts the agent. It then starts the agent when it wakes,
    although it has lost the run. Within a third of a lease it learns of the loss, and the log refuses this agent's
    events. A command notes its own pid, and only the log has its worker's.
    """
    pauses = [fault for fault in index.history.faults if fault.kind == "worker_paused"]
    for note in index.late():
        workers = [entry.worker for entry in index.runs_by_id[note.run_id].entries if entry.worker]
        paused = [pause for pause in pauses if pause.begun <= note.at < pause.mended + LATE_MS]
        if not any(pause.pid == note.pid or any(f"-{pause.pid}-" in one for one in workers) for pause in paused):
            yield Violation("agents started too late", note.run_id, f"by {note.pid} at {note.at}")


# --- sessions ---------------------------------------------------------------------------------------------------------


def sessions(index: IndexedHistory) -> Iterator[Violation]:
    """Workers do the runs of a session one after the other, in the order in which the API accepted them."""
    lanes = defaultdict(list)
    for run in index.history.stored_runs:
        request = index.requests_by_seed.get(run.order.seed)
        if request is not None and request.session:
            lanes[run.session].append((request.place, run))
    for lane in lanes.values():
        runs = [run for _, run in sorted(lane, key=lambda item: item[0])]
        started = [(run, min(index.in_time(run))) for run in runs if index.in_time(run)]
        for (before, at), (after, then) in pairwise(started):
            if then < at:
                yield Violation("sessions out of order", after.run_id, f"started before {before.run_id}")
            elif then < before.entries[-1].at:
                yield Violation("sessions with two runs at once", after.run_id, f"{before.run_id} had not ended")


# --- readers ----------------------------------------------------------------------------------------------------------


def hung(index: IndexedHistory) -> Iterator[Violation]:
    for request, reading in index.readings():
        if reading.outcome == "hung":
            ways = [(piece.way, piece.end, len(piece.text), piece.seqs[-1:]) for piece in reading.pieces]
            yield Violation("clients hung", reading.run_id or f"seed {request.order.seed}", f"received no end: {ways}")


def faulty(index: IndexedHistory) -> Iterator[Violation]:
    """No client got an answer that no client may ever get."""
    for _, reading in index.readings():
        for fault in reading.faults:
            yield Violation("answers that must not be", reading.run_id, fault)
        if reading.outcome == "unreadable" and not reading.run_id:
            yield Violation("answers that must not be", "", "the run cannot be read, and no fault has spoilt it")


def misread(index: IndexedHistory) -> Iterator[Violation]:
    """A reader received what is in the log: all of it if it received an end, otherwise the beginning of it."""
    for _, reading in index.readings():
        run = index.runs_by_id.get(reading.run_id)
        if run is None:
            continue
        for piece in reading.pieces:
            yield from _numbers(piece, run) if piece.way == "events" else _words(piece, run)
        yield from _outcome(reading, run)


def _numbers(piece: Piece, run: StoredRun) -> Iterator[Violation]:
    """The piece has each number once and in order, and each event has the bytes of the log."""
    if piece.seqs != sorted(piece.seqs):
        yield Violation("order violations", run.run_id, f"events came as {piece.seqs}")
    again = [seq for seq, times in Counter(piece.seqs).items() if times > 1 or seq <= piece.after]
    if again:
        yield Violation("events repeated", run.run_id, f"{again} came again", len(again))
    last = len(run.entries) if piece.end in ("stop", "cancelled") else max(piece.seqs, default=0)
    lost = set(range(piece.after + 1, last + 1)) - set(piece.seqs)
    if lost and piece.seqs:
        yield Violation("events lost", run.run_id, f"{sorted(lost)} never came", len(lost))
    log = {entry.seq: entry.raw for entry in run.entries}
    other = [seq for seq, raw in piece.raw.items() if log.get(seq) != raw]
    if other:
        yield Violation("events that differ from the log", run.run_id, f"{other}", len(other))


def _words(piece: Piece, run: StoredRun) -> Iterator[Violation]:
    log = flat(run.entries) or (EMPTY_ANSWER if run.state == "completed" and piece.way != "wait" else "")
    if piece.seqs != sorted(piece.seqs) or (piece.seqs and piece.after and piece.seqs[0] <= piece.after):
        yield Violation("order violations", run.run_id, f"after {piece.after} came {piece.seqs}")
    if not log.startswith(piece.text):
        yield Violation("readers with wrong text", run.run_id, f"{piece.way}: {_differs(piece.text, log)}")
    elif piece.end == "stop" and piece.text != log:
        yield Violation("readers with wrong text", run.run_id, f"{piece.way} looks whole: {_differs(piece.text, log)}")


def _outcome(reading: Reading, run: StoredRun) -> Iterator[Violation]:
    """The reader received the end that the run had."""
    if reading.outcome in ("hung", "left") or not run.entries:
        return
    last = run.entries[-1]
    expected = outcome_of(last.phase, last.code)
    if reading.outcome != expected:
        yield Violation("readers told a wrong end", run.run_id, f"{reading.outcome!r} instead of {expected!r}")


def _differs(text: str, whole: str) -> str:
    at = next((i for i, (a, b) in enumerate(zip(text, whole, strict=False)) if a != b), min(len(text), len(whole)))
    return (
        f"{len(text)} of {len(whole)} characters; at {at}: {text[at : at + 40]!r} where {whole[at : at + 40]!r} belongs"
    )


# --- what is left -----------------------------------------------------------------------------------------------------


def deaf(index: IndexedHistory) -> Iterator[Violation]:
    """Every process that is alive when the faults have been over for a while serves."""
    for seen in index.history.inspected:
        if not seen.served:
            count = (
                "processes deaf while their health check said 200" if seen.healthy else "processes that did not serve"
            )
            yield Violation(count, "", f"{seen.name} after {seen.mended}")


def exits(index: IndexedHistory) -> Iterator[Violation]:
    """No process ends by itself; should one do so, its last line says why."""
    for exit in index.history.exits:
        yield Violation("processes that ended by themselves", "", f"{exit.name} with {exit.code}: {exit.line}")
        if not exit.told:
            yield Violation("exits without a line that says why", "", f"{exit.name} with {exit.code}: {exit.line}")


def left_over(index: IndexedHistory) -> Iterator[Violation]:
    history = index.history
    for count, names in {
        "processes left": history.processes,
        "keys without a time to live": history.immortal,
        "runs or readers still waited for": history.waiting,
        "things no process may say": history.slips,
    }.items():
        yield from (Violation(count, "", name) for name in names)
    if history.connections:
        yield Violation("connections left", "", f"{history.connections} besides our own", history.connections)


# The counts that must be zero, in the order in which the report prints them, and the rules that add to them.
MUST_BE_ZERO = (
    "runs lost",
    "runs without one end",
    "logs with holes",
    "logs with wrong text",
    "runs that ended without need",
    "requests that became two runs",
    "keyless requests that became two runs",
    "runs executed twice",
    "agents started too late",
    "sessions out of order",
    "sessions with two runs at once",
    "events lost",
    "events repeated",
    "order violations",
    "events that differ from the log",
    "readers with wrong text",
    "readers told a wrong end",
    "answers that must not be",
    "clients hung",
    "processes that did not serve",
    "processes deaf while their health check said 200",
    "processes that ended by themselves",
    "exits without a line that says why",
    "runs or readers still waited for",
    "processes left",
    "keys without a time to live",
    "connections left",
    "things no process may say",
)
RULES: tuple[Callable[[IndexedHistory], Iterator[Violation]], ...] = (
    lost_runs,
    unended,
    holes,
    wrong_words,
    needless_ends,
    accepted_twice,
    executed_twice,
    late_starts,
    sessions,
    hung,
    faulty,
    misread,
    deaf,
    exits,
    left_over,
)


def violations(history: History) -> list[Violation]:
    """A run that a fault has spoilt may end as it can, but its clients must learn of an end, and every other run is
    judged as if there had been no such fault."""
    index = IndexedHistory(_unspoilt(history))
    found = [violation for rule in RULES for violation in rule(index)]
    return [*found, *hung(IndexedHistory(_spoilt(history)))]


def _unspoilt(history: History) -> History:
    spoilt = history.spoilt
    runs = [run for run in history.stored_runs if run.run_id not in spoilt]
    return replace(
        history, stored_runs=runs, requests=[one for one in history.requests if not _is_spoilt(one, history)]
    )


def _spoilt(history: History) -> History:
    return replace(history, requests=[one for one in history.requests if _is_spoilt(one, history)])


def _is_spoilt(request: ClientRequest, history: History) -> bool:
    return request.order in history.spoilt.values()


def counted(found: list[Violation]) -> Mapping[str, int]:
    """Every count of MUST_BE_ZERO with its size, also those that are zero."""
    counts = dict.fromkeys(MUST_BE_ZERO, 0)
    for violation in found:
        counts[violation.count] += violation.size
    return counts
