"""The seam between what an API process does and whoever counts it."""

from __future__ import annotations

from typing import Protocol

from shared.run.run import End, Run


class ApiInstrumentation(Protocol):
    """Is told what happens in this process, as it happens. No method waits or raises."""

    def accepted(self, bell: str) -> None:
        """A run of its own was accepted, for the agent that this doorbell names."""
        ...

    def ended(self, run: Run, end: End) -> None:
        """The run has its end, by this process: no worker looked after it."""
        ...

    def gap(self) -> None:
        """A reader missed something and goes to the stream for it."""
        ...

    def answered_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """`route` is a path of the application, its parameters by name. `seconds` until the answer began."""
        ...

    def stream_began(self) -> None: ...

    def stream_ended(self) -> None: ...

    def sent(self, size: int) -> None:
        """So many bytes of a body have left."""
        ...


class NoApiInstrumentation:
    """Nobody counts."""

    def accepted(self, bell: str) -> None: ...
    def ended(self, run: Run, end: End) -> None: ...
    def gap(self) -> None: ...
    def answered_request(self, method: str, route: str, status: int, seconds: float) -> None: ...
    def stream_began(self) -> None: ...
    def stream_ended(self) -> None: ...
    def sent(self, size: int) -> None: ...
