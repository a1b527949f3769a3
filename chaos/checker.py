"""Holds a history to what the service promises. Pure; every rule is one function that yields what broke it.

A reader is held to the log and the log to the script, so a text that both the worker and the relay get wrong is found
all the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from api.chat.chat_view import EMPTY_ANSWER
from chaos.history import ClientRequest, Entry, History, Piece, Reading, StoredRun
from chaos.journal import Note
from chaos.script import script

MAX_ATTEMPTS = 3  # of every agent here
GRACE_SECONDS = 8.0  # a foreground run may end as `disconnect` only when it had no reader for about this long
LATE_MS = 2_000  # after a pause; far more than a third of a lease


@dataclass(frozen=True)
class Offence:
    """A broken promise: which count it adds to, in which run, and what was seen. `size` is what it counts."""

    count: str
    run_id: str
    what: str
    size: int = 1


class IndexedHistory:
    """A history with its parts found by each other."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.by_id = {kept.run_id: kept for kept in history.kept}

    @cached_property
    def asked(self) -> dict[int, ClientRequest]:
        return {asked.order.seed: asked for asked in self.history.asked}

    @cached_property
    def by_seed(self) -> dict[int, list[StoredRun]]:
        found = defaultdict(list)
        for kept in self.history.kept:
            found[kept.order.seed].append(kept)
        return found

    @cached_property
    def starts(self) -> dict[str, list[int]]:
        """When the agent was started, by run."""
        found = defaultdict(list)
        for note in self.history.notes:
            if note.act == "start":
                found[note.run_id].append(note.at)
        return found

    def in_time(self, kept: StoredRun) -> list[int]:
        """Starts before the run had ended."""
        return [at for at in self.starts.get(kept.run_id, ()) if at <= _end(kept)]

    def late(self) -> Iterator[Note]:
        """Starts after that."""
        for note in self.history.notes:
            kept = self.by_id.get(note.run_id)
            if note.act == "start" and kept is not None and note.at > _end(kept):
                yield note

    def readings(self) -> Iterator[tuple[ClientRequest, Reading]]:
        for asked in self.history.asked:
            for reading in asked.readings:
                yield asked, reading


def _end(kept: StoredRun) -> int:
    return kept.entries[-1].at if kept.entries else 0


def flat(entries: tuple[Entry, ...]) -> str:
    """The assistant text of events: messages joined by a blank line."""
    messages: dict[int, str] = {}
    for entry in entries:
        if entry.delta:
            messages[entry.message] = messages.get(entry.message, "") + entry.delta
    return "\n\n".join(text for _, text in sorted(messages.items()))


# --- runs -------------------------------------------------------------------------------------------------------------


def lost_runs(told: IndexedHistory) -> Iterator[Offence]:
    """A run that a client was told of is there."""
    for _, reading in told.readings():
        if reading.run_id and reading.run_id not in told.by_id:
            yield Offence("runs lost", reading.run_id, "a client was told of it, and no record of it is left")


def unended(told: IndexedHistory) -> Iterator[Offence]:
    """Exactly one terminal event, the last one, of which record and log agree."""
    for kept in told.history.kept:
        last = [entry.seq for entry in kept.entries if entry.last]
        if kept.state not in ("completed", "failed", "cancelled"):
            yield Offence("runs without one end", kept.run_id, f"is {kept.state}")
        elif kept.end_state != kept.state:
            yield Offence("runs without one end", kept.run_id, f"ledger {kept.state}, log {kept.end_state or 'open'}")
        elif last != [len(kept.entries)]:
            yield Offence("runs without one end", kept.run_id, f"{len(kept.entries)} events, terminal are {last}")


def holes(told: IndexedHistory) -> Iterator[Offence]:
    for kept in told.history.kept:
        seqs = [entry.seq for entry in kept.entries]
        if seqs != list(range(1, len(seqs) + 1)):
            yield Offence("logs with holes", kept.run_id, f"numbers {seqs}")


def wrong_words(told: IndexedHistory) -> Iterator[Offence]:
    """Each attempt says the script's text, or the beginning of it; the last one of a completed run all of it."""
    for kept in told.history.kept:
        whole = script(kept.order).text
        attempts = sorted({entry.attempt for entry in kept.entries if entry.delta})
        for attempt in attempts:
            text = flat(tuple(entry for entry in kept.entries if entry.attempt == attempt))
            if not whole.startswith(text.removeprefix("\n\n")):
                yield Offence("logs with wrong text", kept.run_id, f"attempt {attempt}: {_differs(text, whole)}")
        if kept.end_text != flat(kept.entries):
            yield Offence("logs with wrong text", kept.run_id, "the terminal record says another text than the events")
        ends = kept.entries[-1:] and kept.entries[-1]
        if ends and (ends.phase == "end" or ends.code == "agent_failed"):
            said = flat(tuple(entry for entry in kept.entries if entry.attempt == ends.attempt))
            if said != whole:
                yield Offence("logs with wrong text", kept.run_id, f"ended, but {_differs(said, whole)}")


def needless_ends(told: IndexedHistory) -> Iterator[Offence]:
    """A run ends as its agent ends it, unless somebody cancelled it or its worker was lost at a bad time."""
    for kept in told.history.kept:
        asked, last = told.asked.get(kept.order.seed), kept.entries[-1:] and kept.entries[-1]
        if not last or not last.last:
            continue
        reason = _needless(kept, last, asked)
        if reason:
            yield Offence("runs that ended without need", kept.run_id, reason)


def _needless(kept: StoredRun, last: Entry, asked: ClientRequest | None) -> str:
    match last.phase, last.code or last.reason:
        case "end", _:
            return "completed, but its script fails" if script(kept.order).fails else ""
        case "error", "agent_failed":
            return "" if script(kept.order).fails else "the agent was said to have failed"
        case "error", "worker_lost":
            may_run_again = kept.agent != "never" and (kept.agent == "again" or not flat(kept.entries))
            return f"worker_lost after {kept.tries} tries" if may_run_again and kept.tries <= MAX_ATTEMPTS else ""
        case "cancelled", "user":
            return "" if asked is not None and asked.cancelled else "cancelled, and nobody had asked for it"
        case "cancelled", "disconnect":
            alone = asked is not None and asked.foreground and asked.left_for > GRACE_SECONDS
            return "" if alone else f"cancelled for want of readers, who were away for {asked and asked.left_for} s"
        case phase, why:
            return f"{phase}: {why}"


# --- once -------------------------------------------------------------------------------------------------------------


def accepted_twice(told: IndexedHistory) -> Iterator[Offence]:
    """What a client asked for once, however often it posted it, is one run. Only with a key can that be sure."""
    for seed, runs in told.by_seed.items():
        asked = told.asked.get(seed)
        if len(runs) > 1 and asked is not None:
            count = "requests that became two runs" if asked.keyed else "keyless requests that became two runs"
            yield Offence(count, runs[0].run_id, f"also {[kept.run_id for kept in runs[1:]]}", len(runs) - 1)


def executed_twice(told: IndexedHistory) -> Iterator[Offence]:
    for kept in told.history.kept:
        starts = [entry for entry in kept.entries if entry.phase == "start" and entry.stream == "lifecycle"]
        noted = len(told.starts.get(kept.run_id, ()))
        speaking = sorted({entry.attempt for entry in kept.entries if entry.delta})
        if kept.agent == "never" and max(noted, len(starts)) > 1:
            yield Offence("runs executed twice", kept.run_id, f"{noted} starts of an agent that may start once")
        if kept.agent in ("main", "shell"):
            again = [start.attempt for start in starts if speaking and start.attempt > speaking[0]]
            if again or len(speaking) > 1:
                yield Offence("runs executed twice", kept.run_id, f"attempts {speaking} spoke, {again} came after")
        if noted > len(starts):
            yield Offence("runs executed twice", kept.run_id, f"{noted} starts of the agent, {len(starts)} in the log")


def late_starts(told: IndexedHistory) -> Iterator[Offence]:
    """A worker that is paused between the log's leave to start an agent and the start itself starts it when it goes on,
    although it has lost the run. It is told within a third of a lease, and nothing that this agent says is taken. No
    lease can prevent that; but nothing else may bring it about.
    """
    pauses = [fault for fault in told.history.faults if fault.kind == "worker_paused"]
    for note in told.late():
        if not any(pause.pid == note.pid and pause.begun <= note.at < pause.mended + LATE_MS for pause in pauses):
            yield Offence("agents started too late", note.run_id, f"by {note.pid} at {note.at}")


# --- sessions ---------------------------------------------------------------------------------------------------------


def sessions(told: IndexedHistory) -> Iterator[Offence]:
    """In a session the runs go one after the other, in the order in which they were accepted."""
    lines = defaultdict(list)
    for kept in told.history.kept:
        asked = told.asked.get(kept.order.seed)
        if asked is not None and asked.session:
            lines[kept.session].append((asked.place, kept))
    for line in lines.values():
        runs = [kept for _, kept in sorted(line, key=lambda item: item[0])]
        started = [(kept, min(told.in_time(kept))) for kept in runs if told.in_time(kept)]
        for (before, at), (after, then) in pairwise(started):
            if then < at:
                yield Offence("sessions out of order", after.run_id, f"started before {before.run_id}")
            elif then < before.entries[-1].at:
                yield Offence("sessions with two runs at once", after.run_id, f"{before.run_id} had not ended")


# --- readers ----------------------------------------------------------------------------------------------------------


def hung(told: IndexedHistory) -> Iterator[Offence]:
    for asked, reading in told.readings():
        if reading.outcome == "hung":
            ways = [(piece.way, piece.end, len(piece.text), piece.seqs[-1:]) for piece in reading.pieces]
            yield Offence("clients hung", reading.run_id or f"seed {asked.order.seed}", f"never heard an end: {ways}")


def faulty(told: IndexedHistory) -> Iterator[Offence]:
    """What no client may ever see."""
    for _, reading in told.readings():
        for fault in reading.faults:
            yield Offence("answers that must not be", reading.run_id, fault)


def misread(told: IndexedHistory) -> Iterator[Offence]:
    """What came is what the log says: all of it when an end came, else the beginning of it."""
    for _, reading in told.readings():
        kept = told.by_id.get(reading.run_id)
        if kept is None:
            continue
        for piece in reading.pieces:
            yield from _numbers(piece, kept) if piece.way == "events" else _words(piece, kept)
        yield from _outcome(reading, kept)


def _numbers(piece: Piece, kept: StoredRun) -> Iterator[Offence]:
    """Each number once, each in its turn, each with the words of the log."""
    if piece.seqs != sorted(piece.seqs):
        yield Offence("order violations", kept.run_id, f"events came as {piece.seqs}")
    again = [seq for seq, times in Counter(piece.seqs).items() if times > 1 or seq <= piece.after]
    if again:
        yield Offence("events repeated", kept.run_id, f"{again} came again", len(again))
    last = len(kept.entries) if piece.end in ("stop", "cancelled") else max(piece.seqs, default=0)
    lost = set(range(piece.after + 1, last + 1)) - set(piece.seqs)
    if lost and piece.seqs:
        yield Offence("events lost", kept.run_id, f"{sorted(lost)} never came", len(lost))
    log = {entry.seq: entry.raw for entry in kept.entries}
    other = [seq for seq, raw in piece.raw.items() if log.get(seq) != raw]
    if other:
        yield Offence("events that differ from the log", kept.run_id, f"{other}", len(other))


def _words(piece: Piece, kept: StoredRun) -> Iterator[Offence]:
    log = flat(kept.entries) or (EMPTY_ANSWER if kept.state == "completed" and piece.way != "wait" else "")
    if piece.seqs != sorted(piece.seqs) or (piece.seqs and piece.after and piece.seqs[0] <= piece.after):
        yield Offence("order violations", kept.run_id, f"after {piece.after} came {piece.seqs}")
    if not log.startswith(piece.text):
        yield Offence("readers with wrong text", kept.run_id, f"{piece.way}: {_differs(piece.text, log)}")
    elif piece.end == "stop" and piece.text != log:
        yield Offence("readers with wrong text", kept.run_id, f"{piece.way} looks whole: {_differs(piece.text, log)}")


def _outcome(reading: Reading, kept: StoredRun) -> Iterator[Offence]:
    """A reader is told the end that the run had."""
    if reading.outcome in ("hung", "left") or not kept.entries:
        return
    last = kept.entries[-1]
    expected = {"end": "stop", "error": last.code, "cancelled": "cancelled"}.get(last.phase)
    if reading.outcome != expected:
        yield Offence("readers told a wrong end", kept.run_id, f"{reading.outcome!r} instead of {expected!r}")


def _differs(text: str, whole: str) -> str:
    at = next((i for i, (a, b) in enumerate(zip(text, whole, strict=False)) if a != b), min(len(text), len(whole)))
    return (
        f"{len(text)} of {len(whole)} characters; at {at}: {text[at : at + 40]!r} where {whole[at : at + 40]!r} stands"
    )


# --- what is left -----------------------------------------------------------------------------------------------------


def left_over(told: IndexedHistory) -> Iterator[Offence]:
    history = told.history
    for count, names in {
        "processes left": history.processes,
        "keys without a time to live": history.immortal,
        "runs or readers still waited for": history.waiting,
        "things no process may say": history.slips,
    }.items():
        yield from (Offence(count, "", name) for name in names)
    if history.connections:
        yield Offence("connections left", "", f"{history.connections} besides our own", history.connections)


# What must be zero, in the order in which it is printed, and the rules that count it.
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
    "runs or readers still waited for",
    "processes left",
    "keys without a time to live",
    "connections left",
    "things no process may say",
)
RULES: tuple[Callable[[IndexedHistory], Iterator[Offence]], ...] = (
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
    left_over,
)


def offences(history: History) -> list[Offence]:
    told = IndexedHistory(history)
    return [offence for rule in RULES for offence in rule(told)]


def counted(found: list[Offence]) -> Mapping[str, int]:
    """Every count that must be zero, whether it is or not."""
    counts = dict.fromkeys(MUST_BE_ZERO, 0)
    for offence in found:
        counts[offence.count] += offence.size
    return counts
