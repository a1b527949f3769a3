"""What of a conversation comes before the current turn: the session's transcript, or what the request carries. Pure.

The transcript counts, but for an exchange that waits for the results of tools. The client has it whole, and it alone
knows what it called and why; the transcript may hold it without its pictures, or not at all if that run had failed.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.run.run import Run, Turn


def history_of(run: Run, transcript: Sequence[Turn]) -> tuple[Turn, ...]:
    """In its first turn a session has no transcript, and what the client sent is all there is."""
    if not transcript:
        return run.history
    exchange = _open_exchange(run.history) if any(turn.tool_call_id for turn in run.current) else ()
    if not exchange:
        return tuple(transcript)
    return (*transcript[: len(transcript) - len(_open_exchange(transcript))], *exchange)


def _open_exchange(turns: Sequence[Turn]) -> Sequence[Turn]:
    """From the last user's turn on, if its answer so far ends with calls of tools."""
    if not turns or not turns[-1].tool_calls:
        return ()
    begin = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=len(turns))
    return turns[begin:]
