"""What is measured: how long it takes until somebody is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from chaos.history import History, Piece, StoredRun


def killed_until_told(history: History) -> list[float]:
    """From a worker's SIGKILL until the log of each of its runs says what becomes of it: taken over, or ended."""
    kills = [fault for fault in history.faults if fault.kind == "worker_killed"]
    return [told - kill.begun for kill in kills for kept in history.kept for told in _told(kept, kill.pid, kill.begun)]


def _told(kept: StoredRun, pid: int, killed: int) -> Iterator[float]:
    before = [entry for entry in kept.entries if entry.at <= killed]
    after = [entry for entry in kept.entries if entry.at > killed]
    starts = [entry for entry in before if entry.worker]
    if starts and after and not before[-1].last and f"-{pid}-" in starts[-1].worker:
        yield after[0].at


def back_until_flowing(history: History) -> list[float]:
    """From a Redis that answers again until each open event stream brings its next event."""
    backs = [
        fault.mended for fault in history.faults if fault.kind in ("redis_restarted", "redis_killed", "redis_paused")
    ]
    return [flows - back for back in backs for piece in _streams(history) for flows in _flows(piece, back)]


def _streams(history: History) -> Iterator[Piece]:
    for asked in history.asked:
        if asked.order.shape in ("chatty", "lasting", "large"):
            for reading in asked.readings:
                yield from (piece for piece in reading.pieces if piece.way == "events")


def _flows(piece: Piece, back: int) -> Iterator[float]:
    """Only of a stream that had begun before: it had something to be taken up again."""
    if piece.arrivals and piece.arrivals[0][1] < back <= piece.arrivals[-1][1]:
        yield min(at for _, at in piece.arrivals if at >= back)


def cancel_until_gone(history: History) -> list[float]:
    return [asked.gone_after for asked in history.asked if asked.gone_after is not None]


TIMES: Mapping[str, Callable[[History], list[float]]] = {
    "worker killed until the run's readers are told": killed_until_told,
    "Redis back until a stream flows": back_until_flowing,
    "cancel until the last process is gone": cancel_until_gone,
}
