"""The turns before the current one: the session's transcript, or the history that the request carries. Pure.

The transcript counts, except for an exchange that waits for the results of tools: there the request counts. The client
has that exchange whole, with every call. The transcript may hold it without its pictures, or not at all if that run had
failed.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.run.run import Run, Turn


def history_of(run: Run, transcript: Sequence[Turn]) -> tuple[Turn, ...]:
    """The turns before the current one. In its first turn a session has no transcript, only what the client sent."""
    if not transcript:
        return run.history
    exchange = _open_exchange(run.history) if any(turn.tool_call_id for turn in run.current) else ()
    if not exchange:
        return tuple(transcript)
    return (*transcript[: len(transcript) - len(_open_exchange(transcript))], *exchange)


def _open_exchange(turns: Sequence[Turn]) -> Sequence[Turn]:
    """The turns from the last user's turn on, if they end with calls of tools; otherwise none."""
    if not turns or not turns[-1].tool_calls:
        return ()
    begin = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=len(turns))
    return turns[begin:]
