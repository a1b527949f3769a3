"""The seam between the API's work and the metrics that count it."""

from __future__ import annotations

from typing import Protocol

from shared.run.run import End, Run


class ApiInstrumentation(Protocol):
    """Receives each thing that this process does, at the time it does it. No method waits or raises."""

    def accepted(self, bell: str) -> None:
        """The API accepted a new run for the agent that the doorbell `bell` names. A request that joins a run that
        was accepted before does not count."""
        ...

    def ended(self, run: Run, end: End) -> None:
        """This process ended the run, because no worker had it."""
        ...

    def gap(self) -> None:
        """A reader missed an event and reads it from the stream."""
        ...

    def answered_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """`route` is a path of the application with its parameters by name. `seconds` passed until the response
        began."""
        ...

    def stream_began(self) -> None: ...

    def stream_ended(self) -> None: ...

    def sent(self, size: int) -> None:
        """The process has sent `size` bytes of a body."""
        ...


class NoApiInstrumentation:
    """Counts nothing."""

    def accepted(self, bell: str) -> None: ...
    def ended(self, run: Run, end: End) -> None: ...
    def gap(self) -> None: ...
    def answered_request(self, method: str, route: str, status: int, seconds: float) -> None: ...
    def stream_began(self) -> None: ...
    def stream_ended(self) -> None: ...
    def sent(self, size: int) -> None: ...
