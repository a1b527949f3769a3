"""The times that the suite measures: from a fault or a cancel until its effect is visible, in ms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from chaos.history import History, Piece, StoredRun


def kill_to_report(history: History) -> list[float]:
    """From a worker's SIGKILL until the log of each of its runs has the next event: taken over, or ended."""
    kills = [fault for fault in history.faults if fault.kind == "worker_killed"]
    return [
        reported - kill.begun
        for kill in kills
        for run in history.stored_runs
        for reported in _next_event(run, kill.pid, kill.begun)
    ]


def _next_event(run: StoredRun, pid: int, killed: int) -> Iterator[float]:
    before = [entry for entry in run.entries if entry.at <= killed]
    after = [entry for entry in run.entries if entry.at > killed]
    starts = [entry for entry in before if entry.worker]
    if starts and after and not before[-1].last and f"-{pid}-" in starts[-1].worker:
        yield after[0].at


def redis_back_to_next_event(history: History) -> list[float]:
    """From the moment Redis answers again until each open event stream brings its next event."""
    backs = [
        fault.mended for fault in history.faults if fault.kind in ("redis_restarted", "redis_killed", "redis_paused")
    ]
    return [flows - back for back in backs for piece in _streams(history) for flows in _flows(piece, back)]


def _streams(history: History) -> Iterator[Piece]:
    for request in history.requests:
        if request.order.shape in ("chatty", "lasting", "large"):
            for reading in request.readings:
                yield from (piece for piece in reading.pieces if piece.way == "events")


def _flows(piece: Piece, back: int) -> Iterator[float]:
    """The first arrival after `back`, of a stream that had begun before and went on afterwards."""
    if piece.arrivals and piece.arrivals[0][1] < back <= piece.arrivals[-1][1]:
        yield min(at for _, at in piece.arrivals if at >= back)


def cancel_to_last_process_gone(history: History) -> list[float]:
    return [request.gone_after for request in history.requests if request.gone_after is not None]


TIMES: Mapping[str, Callable[[History], list[float]]] = {
    "worker killed until the run's readers are told": kill_to_report,
    "Redis back until a stream flows": redis_back_to_next_event,
    "cancel until the last process is gone": cancel_to_last_process_gone,
}
