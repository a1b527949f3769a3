"""A worker played by the test: the test decides what the worker emits, and when."""

from __future__ import annotations

from dataclasses import dataclass

from shared.ledger.finish import terminal_record
from shared.ledger.ledger import Claim, Ledger
from shared.ledger.presence import Announcement, Presence, ServedAgent
from shared.log.event_log import EventLog, Head
from shared.redis.pipe import Pipe
from shared.run.events import Completed, Delta, Event, EventData, Started, Terminal, make_event
from shared.run.run import Policy
from tests.broker import KEYS
from tests.events import head_after
from tests.runs import claim
from tests.wait import wait_until


class Attempt:
    """A run that the worker has claimed and started."""

    def __init__(self, claim: Claim, head: Head, ledger: Ledger, log: EventLog) -> None:
        self.claim = claim
        self.run_id = claim.run.run_id
        self._head = head
        self._ledger = ledger
        self._log = log

    async def say(self, *data: EventData | str) -> None:
        events = [self._event(one, number) for number, one in enumerate(data, self._head.seq + 1)]
        self._head = head_after(events, self._head)
        await self._log.append(events, self._head)

    async def end(self, terminal: Terminal | None = None) -> None:
        """Ends the run: first in the log, then in the ledger."""
        terminal = terminal or Completed()
        text = await self._log.text(self.run_id, self._head)
        last = self._event(terminal, self._head.seq + 1)
        record = terminal_record(terminal, text)
        await self._log.close([last], head_after([last], self._head), record)
        assert await self._ledger.settle(self.claim, record)

    def _event(self, data: EventData | str, seq: int) -> Event:
        data = Delta(delta=data) if isinstance(data, str) else data
        run, attempt = self.claim.run, self.claim.attempt
        return make_event(data, run_id=run.run_id, session_key=run.session_key, attempt=attempt, seq=seq, ts=seq)


@dataclass(frozen=True)
class Stage:
    pipe: Pipe
    ledger: Ledger
    log: EventLog

    async def serve(self, agents: dict[str, Policy] | None = None) -> None:
        """Announces a worker that serves these agents, by default only `main`."""
        policies = agents or {"main": Policy()}
        served = {name: ServedAgent(kind="python", policy=policy) for name, policy in policies.items()}
        announcement = Announcement(
            worker="w1", host="h", pid=1, version="1", slots=9, running=0, since_ms=0, agents=served
        )
        await Presence(self.pipe, KEYS).announce(announcement)

    async def take(self, *data: EventData | str) -> Attempt:
        """Waits for the next run, claims and starts it, and emits these data; a string is a delta."""
        taken = await self._claimed()
        attempt = Attempt(taken, await self.log.fence(taken.run.run_id, taken.attempt), self.ledger, self.log)
        await attempt.say(Started(attempt=taken.attempt, worker="w1"), *data)
        return attempt

    async def _claimed(self) -> Claim:
        claims: list[Claim] = []

        async def look() -> bool:
            claims.extend(await claim(self.ledger, most=1))
            return bool(claims)

        await wait_until(look, "a run can be claimed")
        return claims[0]
