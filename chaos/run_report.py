"""All that a history has of one run, as lines for a developer who has to find out what went wrong."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.history import History, Reading, StoredRun

SHOWN = 60  # characters of a text


def run_report(history: History, run_id: str) -> Iterator[str]:
    """Yields lines: journal, log and faults in the order of time, then what each reader received."""
    run = next((run for run in history.stored_runs if run.run_id == run_id), None)
    if run is None:
        yield f"  no record of {run_id}"
    else:
        yield f"  {run.run_id}: {run.state} {run.code}, {run.order}"
        yield f"  agent {run.agent}, {run.attempts} attempts, {run.tries} tries, session {run.session}"
        yield from (line for _, line in sorted(_happened(history, run)))
    for request in history.requests:
        for reading in request.readings:
            if reading.run_id == run_id:
                yield f"  {'keyed' if request.keyed else 'keyless'}, {'fore' if request.foreground else 'back'}ground"
                yield f"  cancelled {request.cancelled}, away {request.left_for:.1f} s"
                yield from _read(reading)


def _happened(history: History, run: StoredRun) -> Iterator[tuple[int, str]]:
    begun = min((note.at for note in history.notes if note.run_id == run.run_id), default=run.accepted)
    first = min(begun, run.accepted)
    last = max((entry.at for entry in run.entries), default=first)
    yield run.accepted, _line(run.accepted, "ledger   accepted")
    for note in history.notes:
        if note.run_id == run.run_id:
            yield note.at, _line(note.at, f"journal  {note.event} in {note.pid}")
    for entry in run.entries:
        text = entry.delta[:SHOWN] if entry.delta else f"{entry.phase} {entry.worker} {entry.code} {entry.reason}"
        yield entry.at, _line(entry.at, f"log      {entry.seq} of attempt {entry.attempt}: {entry.stream} {text!r}")
    for fault in history.faults:
        if fault.mended >= first and fault.begun <= last + 5_000:
            yield fault.begun, _line(fault.begun, f"FAULT    {fault.kind} of {fault.pid} until {fault.mended % 10**7}")


def _line(at: int, what: str) -> str:
    return f"    {at % 10**7:>7} {what}"


def _read(reading: Reading) -> Iterator[str]:
    yield f"    reader: {reading.outcome}"
    for piece in reading.pieces:
        yield f"      {piece.way} after {piece.after}: end {piece.end}, seqs {piece.seqs}"
        yield f"        {len(piece.text)} characters, {piece.text[:SHOWN]!r}"
    yield from (f"      FAULT {fault}" for fault in reading.faults)
