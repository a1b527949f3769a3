"""What the ledger knows of a run: its record, a hash in Redis. Read whole, or as a row of a list, without what was
asked: with pictures that is a megabyte, a hundred times on a page."""

from __future__ import annotations

from collections.abc import Mapping

from shared.run.events import StopReason, Value
from shared.run.run import Run
from shared.run.states import State

_TIMES = ("created", "queued", "ready", "started", "ended")
_TEXTS = ("agent", "session", "owner", "state", "worker", "begun", "tries", "cancel", "code", "again", "foreground")
ROW_FIELDS = (*_TEXTS, *_TIMES)  # of the hash


class RunRow(Value):
    """Times are ms since the epoch by Redis's clock, 0 when not yet."""

    run_id: str
    agent: str
    session: str
    owner: str
    state: State
    foreground: bool = False
    worker: str = ""  # that took it last
    begun: int = 0  # the last attempt that started an agent; 0 when none has: a claim may only be there to end the run
    tries: int = 0  # attempts that count against `max_attempts`
    cancel: StopReason | None = None  # asked for; the owner of the lease ends the run
    created_ms: int = 0  # by the clock of the API that accepted it
    queued_ms: int = 0
    ready_ms: int = 0  # when its session's turn came, last
    started_ms: int = 0  # the first time that an agent was started
    ended_ms: int = 0
    code: str = ""
    again: str = ""  # the run as which an operator had this one run again, last


class RunRecord(RunRow):
    v: int
    run: Run
    attempt: int = 0  # claims so far: the fence
    queued_until_ms: int = 0  # 0 while the run waits for its session's turn


def row_of(run_id: str, fields: Mapping[str, str]) -> RunRow:
    """`fields` are at least ROW_FIELDS, as far as the record has them."""
    return RunRow.model_validate({"run_id": run_id, **_row(fields)})


def record_of(fields: Mapping[str, str]) -> RunRecord:
    """`fields` are all that the record has."""
    run = Run.model_validate_json(fields["spec"])
    asked = {"run_id": run.run_id, "run": run, "created_ms": run.created_ms, "foreground": run.foreground}
    more = {"v": fields["v"], "attempt": fields["attempt"], "queued_until_ms": fields["queued_until"]}
    return RunRecord.model_validate({**_row(fields), **asked, **more})


def _row(fields: Mapping[str, str]) -> dict[str, str]:
    """By the names of a RunRow. An earlier release wrote no `created` and no `foreground`."""
    known = {**fields, "created": fields.get("created") or fields["queued"]}
    return {f"{name}_ms" if name in _TIMES else name: known[name] for name in ROW_FIELDS if known.get(name)}
