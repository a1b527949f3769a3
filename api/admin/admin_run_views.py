"""Makes the views of runs that operators get. Pure."""

from __future__ import annotations

from shared.ledger.operator_views import AdminRunDetail, AdminRunView, RunErrorView, TimelineStep
from shared.ledger.run_record import RunRecord, RunRow
from shared.log.event_log import Head
from shared.run.states import ENDS, State


def row(known: RunRow, first_text_ms: int, now_ms: int) -> AdminRunView:
    return AdminRunView(
        id=known.run_id,
        state=known.state,
        agent=known.agent,
        session=known.session,
        owner=known.owner,
        worker=known.worker or None,
        attempt=known.begun,
        tries=known.tries,
        queued_ms=known.queued_ms,
        ready_ms=known.ready_ms or None,
        started_ms=known.started_ms or None,
        first_text_ms=first_text_ms or None,
        ended_ms=known.ended_ms or None,
        wait_ms=_wait_ms(known, now_ms),
        code=known.code or None,
        cancel_requested=known.cancel,
        again=known.again or None,
    )


def _wait_ms(known: RunRow, now_ms: int) -> int | None:
    if not known.ready_ms:
        return None
    if known.state is State.QUEUED:
        return max(0, now_ms - known.ready_ms)
    if known.ended_ms and not known.started_ms:  # no worker took it: it waited until its end
        return max(0, known.ended_ms - known.ready_ms)
    # `started_ms` is the run's first start. A run that a worker handed back became ready again after that.
    return known.started_ms - known.ready_ms if known.started_ms >= known.ready_ms else None


def run_detail(
    view: AdminRunView,
    record: RunRecord,
    head: Head,
    text: str,
    steps: list[TimelineStep],
    *,
    complete: bool,
    position: int | None,
) -> AdminRunDetail:
    """The log closes before the ledger settles: a run has ended as soon as its log holds its end."""
    run, end = record.run, head.end
    state = view.state if end is None or view.state in ENDS else end.state
    error = RunErrorView(code=end.code, message=end.message, detail=end.detail) if end and end.code else None
    return AdminRunDetail(
        **view.model_copy(update={"state": state}).model_dump(),
        message=run.message,
        extra_system_prompt=run.extra_system_prompt,
        history_turns=len(run.history),
        model=run.model,
        background=not run.foreground,
        again_of=run.again_of or None,
        queue_position=position if state is State.QUEUED else None,
        text=end.text if end else text,
        last_event=head.seq,
        usage=end.usage if end else None,
        error=error or (RunErrorView(code=record.code, message="", detail="") if record.code else None),
        timeline=steps,
        timeline_complete=complete,
    )
