"""The whole story of one run, for whoever has to find out what went wrong."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.history import History, Reading, StoredRun

SHOWN = 60  # characters of a text


def story(history: History, run_id: str) -> Iterator[str]:
    """In the order of time: journal, log, faults; then what each reader got."""
    kept = next((kept for kept in history.kept if kept.run_id == run_id), None)
    if kept is None:
        yield f"  no record of {run_id}"
    else:
        yield f"  {kept.run_id}: {kept.state} {kept.code}, {kept.order}"
        yield f"  agent {kept.agent}, {kept.attempts} attempts, {kept.tries} tries, session {kept.session}"
        yield from (line for _, line in sorted(_happened(history, kept)))
    for asked in history.asked:
        for reading in asked.readings:
            if reading.run_id == run_id:
                yield f"  {'keyed' if asked.keyed else 'keyless'}, {'fore' if asked.foreground else 'back'}ground"
                yield f"  cancelled {asked.cancelled}, away {asked.left_for:.1f} s"
                yield from _read(reading)


def _happened(history: History, kept: StoredRun) -> Iterator[tuple[int, str]]:
    begun = min((note.at for note in history.notes if note.run_id == kept.run_id), default=kept.accepted)
    first = min(begun, kept.accepted)
    last = max((entry.at for entry in kept.entries), default=first)
    yield kept.accepted, _line(kept.accepted, "ledger   accepted")
    for note in history.notes:
        if note.run_id == kept.run_id:
            yield note.at, _line(note.at, f"journal  {note.act} in {note.pid}")
    for entry in kept.entries:
        said = entry.delta[:SHOWN] if entry.delta else f"{entry.phase} {entry.worker} {entry.code} {entry.reason}"
        yield entry.at, _line(entry.at, f"log      {entry.seq} of attempt {entry.attempt}: {entry.stream} {said!r}")
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
