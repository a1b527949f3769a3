from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx2
import pytest

from cli.api_client import ApiClient
from cli.cli_error import CliError, ExitCode
from cli.follow_events import follow_events
from shared.run.events import Completed, Event, to_json
from tests.events import deltas, said

EVENTS = [*deltas("a", "b"), *said(Completed(), first=3)]
Part = Event | Exception | tuple[str, str]


class Broken(ApiClient):
    """A service whose streams break off: it sends these parts, one stream after the other."""

    def __init__(self, *streams: Sequence[Part]) -> None:
        super().__init__("http://nowhere", None)
        self._streams = iter(streams)
        self.requested: list[int] = []

    @contextmanager
    def events(self, path: str, after: int) -> Iterator[Iterator[httpx2.ServerSentEvent]]:
        self.requested.append(after)
        yield self._sent(next(self._streams))

    def _sent(self, parts: Sequence[Part]) -> Iterator[httpx2.ServerSentEvent]:
        for part in parts:
            if isinstance(part, Exception):
                raise part
            if isinstance(part, tuple):
                yield httpx2.ServerSentEvent(*part)
            else:
                yield httpx2.ServerSentEvent(part.stream, to_json(part).decode(), str(part.seq))


def followed(service: Broken) -> list[int]:
    return [event.seq for event in follow_events(service, "/events", pause=lambda _: None)]


RESTARTING = ("error", '{"error": {"message": "restarting", "code": "server_restarting"}}')


@pytest.mark.parametrize(
    "broken",
    [
        httpx2.ReadError("gone"),
        httpx2.RemoteProtocolError("cut"),
        httpx2.ReadTimeout("silent"),
        CliError(ExitCode.UNREACHABLE, "503"),
        RESTARTING,
        ("assistant", '{"v":1,"runId":"half'),
    ],
    ids=str,
)
def test_a_stream_that_breaks_is_taken_up_where_it_broke(broken: Part) -> None:
    service = Broken([*EVENTS[:1], broken], [broken], [*EVENTS])
    assert followed(service) == [1, 2, 3]
    assert service.requested == [0, 1, 1]


def test_what_comes_again_is_passed_over() -> None:
    assert followed(Broken([EVENTS[0], EVENTS[0], EVENTS[1], EVENTS[2]])) == [1, 2, 3]


def test_a_stream_that_just_ends_is_no_end_of_the_run() -> None:
    """A proxy may end a stream like this. The follower must not take an answer that was cut off for a whole one."""
    assert followed(Broken([], EVENTS[:1], EVENTS)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (("error", '{"error": {"message": "not kept", "code": "events_gone"}}'), ExitCode.REFUSED),
        (CliError(ExitCode.NOT_FOUND, "no run"), ExitCode.NOT_FOUND),
    ],
)
def test_what_will_not_get_better_is_told(end: Part, code: ExitCode) -> None:
    with pytest.raises(CliError) as raised:
        followed(Broken([EVENTS[0], end]))
    assert raised.value.code is code


def test_patience_is_not_endless() -> None:
    times = iter(range(0, 1_000, 25))
    service = Broken(*([httpx2.ReadError("gone")] for _ in range(9)))
    with pytest.raises(CliError, match="cannot be followed") as raised:
        list(follow_events(service, "/events", pause=lambda _: None, clock=lambda: next(times)))
    assert raised.value.code is ExitCode.UNREACHABLE
