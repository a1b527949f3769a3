"""The ledger's record of a run, a hash in Redis. A caller reads it whole, or as a row of a list without the request: a
request with pictures is a megabyte, and a page of the list has a hundred rows."""

from __future__ import annotations

from collections.abc import Mapping

from shared.run.events import StopReason, Value
from shared.run.run import Run
from shared.run.states import State

_TIMES = ("created", "queued", "ready", "started", "ended")
_TEXTS = ("agent", "session", "owner", "state", "worker", "begun", "tries", "cancel", "code", "again", "foreground")
ROW_FIELDS = (*_TEXTS, *_TIMES)  # fields of the hash


class RunRow(Value):
    """A run without its request. Times are ms since the epoch by Redis's clock; 0 stands for "not yet"."""

    run_id: str
    agent: str
    session: str
    owner: str
    state: State
    foreground: bool = False
    worker: str = ""  # the last owner
    begun: int = 0  # the last attempt that started an agent, 0 for none: an owner may claim a run only to end it
    tries: int = 0  # attempts that count against `max_attempts`
    cancel: StopReason | None = None  # a request to stop the run; the owner of the lease ends it
    created_ms: int = 0  # by the clock of the API process that accepted the run
    queued_ms: int = 0
    ready_ms: int = 0  # when the run last became claimable
    started_ms: int = 0  # when an attempt first started an agent
    ended_ms: int = 0
    code: str = ""
    again: str = ""  # the last run that repeats this one by an operator's request


class RunRecord(RunRow):
    v: int
    run: Run
    attempt: int = 0  # claims so far: the fence
    queued_until_ms: int = 0  # 0 while the run waits for its session's turn


def row_of(run_id: str, fields: Mapping[str, str]) -> RunRow:
    """`fields` has every field in ROW_FIELDS that the record has; other fields do no harm."""
    return RunRow.model_validate({"run_id": run_id, **_row(fields)})


def record_of(fields: Mapping[str, str]) -> RunRecord:
    """`fields` has every field of the record."""
    run = Run.model_validate_json(fields["spec"])
    request = {"run_id": run.run_id, "run": run, "created_ms": run.created_ms, "foreground": run.foreground}
    more = {"v": fields["v"], "attempt": fields["attempt"], "queued_until_ms": fields["queued_until"]}
    return RunRecord.model_validate({**_row(fields), **request, **more})


def _row(fields: Mapping[str, str]) -> dict[str, str]:
    """The fields under the names of a RunRow. An earlier release wrote no `created` and no `foreground`."""
    known = {**fields, "created": fields.get("created") or fields["queued"]}
    return {f"{name}_ms" if name in _TIMES else name: known[name] for name in ROW_FIELDS if known.get(name)}
