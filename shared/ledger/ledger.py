"""The ledger: which worker runs which run. Every change is one Lua script. A caller that lost the script's answer may
safely repeat it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256

from shared.ledger.ledger_script import ledger_script
from shared.ledger.reader_leases import GRACE_MS
from shared.ledger.run_record import RunRecord, record_of
from shared.redis.keys import JOIN_WINDOW_MS, Keys
from shared.redis.pipe import Pipe
from shared.redis.replies import Reply, mapping, number, only, rows, text, texts
from shared.run.conversation import StoredConversation, exchange_digest
from shared.run.errors import KeyReused, QueueFull, SessionTaken, Unavailable, Unreadable
from shared.run.events import StopReason
from shared.run.run import End, Policy, Run, Turn
from shared.run.states import State

JOB = "run_agent"  # the name of the worker's only arq function
TRANSCRIPT_TURNS = 200  # the most turns that a transcript keeps
TRANSCRIPT_BYTES = 262_144  # the most bytes of a transcript in Redis; the ledger drops the oldest turns first
PARTS_BYTES = 65_536  # a larger turn is kept without its pictures, which would drive out all other turns


@dataclass(frozen=True)
class QueueLimits:
    """The bounds that `submit` enforces. Times in ms."""

    retention_ms: int
    queue_timeout_ms: int
    max_waiting: int
    max_waiting_per_session: int


@dataclass(frozen=True)
class RequestIdentity:
    """How the ledger recognises a repeated request.

    `key` is the client's idempotency key; without one, the ledger goes by the digest of the body. With `join` the
    request joins an earlier run of the same key or body. A first try without a key has no `join`. It joins a run only
    when its own retry has overtaken it, and the ledger can tell that only if the client counts its tries (`counted`).
    """

    digest: str
    key: str | None = None
    join: bool = False
    counted: bool = False

    def name(self, owner: str) -> str:
        if self.key is None:
            return f"{owner}:body:{self.digest}"
        return f"{owner}:key:{sha256(self.key.encode()).hexdigest()}"  # hashed: a client's key may have any length


@dataclass(frozen=True)
class Rerun:
    """Marks a run as the repetition of the earlier run `of`. With `once`, `submit` makes no second repetition and
    returns the first one."""

    of: str
    once: bool
    note: str  # the entry for the audit


@dataclass(frozen=True)
class Accepted:
    """The run that answers the request; `joined` when an earlier request has created it."""

    run_id: str
    joined: bool


@dataclass(frozen=True)
class Claim:
    """A run that an owner has claimed. `attempt` is the fence of its log, `token` the fence of its ledger record.

    Times are ms by Redis's clock: `now_ms` when the owner claimed the run, `queued_ms` when the ledger accepted it,
    `ready_ms` when it became claimable (0: not yet).
    """

    run: Run
    token: str
    attempt: int
    tries: int
    lost: bool  # another owner's lease had run out
    cancel: StopReason | None
    begun: bool  # the ledger has noted that an agent starts; it never has for a run that is lost or ends here
    now_ms: int
    policy: Policy
    queued_ms: int
    ready_ms: int
    earlier: int = 0  # the last attempt before this one for which an agent was to start; 0: none
    readable: bool = True  # otherwise `run` has little more than its id, and the owner can only end it
    losses: int = 0  # attempts that were lost with an agent, those included whose agent did not come to start

    @property
    def waited(self) -> float:
        """Seconds between the run becoming claimable and this claim. 0 when the claim took the run over from another
        owner, and when it came before the run's turn."""
        return 0 if self.lost or not self.ready_ms else (self.now_ms - self.ready_ms) / 1000


@dataclass(frozen=True)
class Renewal:
    """What became of a lease. `held`: the owner still has it, and `cancel` is the reason to stop the run, if any.
    `done`: the owner has settled the run or handed it back. Neither: another owner has the run, or the run is gone."""

    held: bool
    done: bool = False
    cancel: StopReason | None = None


class Ledger:
    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self.keys = keys
        names = ("submit", "claim", "begin", "renew", "release", "settle", "cancel", "overdue", "forfeit")
        self._scripts = {name: ledger_script(name, keys) for name in names}

    async def _run(self, name: str, *args: str | bytes | int) -> Reply:
        return await self._pipe.run(self._scripts[name], args=args)

    async def ping(self) -> None:
        """Returns when Redis answers. Raises Unavailable."""
        await self._pipe.command("PING")

    async def submit(
        self, run: Run, *, bell: str, once: RequestIdentity, bounds: QueueLimits, again: Rerun | None = None
    ) -> Accepted:
        """Accepts a run: from here on it ends in exactly one terminal state. All or nothing.

        Raises SessionTaken, KeyReused or QueueFull when the ledger refuses the run, Unavailable when Redis does not
        answer.
        """
        request = {
            "id": run.run_id,
            "agent": run.agent_id,
            "session": run.session_key,
            "owner": run.owner,
            "bell": bell,
            "spec": run.model_dump_json(by_alias=True),
            "job": json.dumps({"t": None, "f": JOB, "a": [run.run_id], "k": {}, "et": run.created_ms}),
            "keep": bounds.retention_ms,
            "patience": bounds.queue_timeout_ms,
            "created": run.created_ms,
            "foreground": "1" if run.foreground else "0",
            "grace": GRACE_MS if run.foreground else 0,
            "max_total": bounds.max_waiting,
            "max_session": bounds.max_waiting_per_session,
            "once": once.name(run.owner),
            "once_ms": bounds.retention_ms if once.key is not None else JOIN_WINDOW_MS,
            "digest": once.digest,
            "join": once.join or once.key is not None,
            "counted": once.counted,
            "again_of": again.of if again else "",
            "again_once": again.once if again else False,
            "audit": again.note if again else "",
        }
        match texts(await self._run("submit", json.dumps(request))):
            case ["session_taken", _]:
                raise SessionTaken(run.session_key)
            case ["key_reused", _]:
                raise KeyReused(once.key)
            case ["full_session" | "full_total" as verdict, _]:
                raise QueueFull(verdict.removeprefix("full_"))
            case [verdict, run_id]:
                return Accepted(run_id, joined=verdict == "joined")
            case other:
                raise Unavailable(f"submit answered {other}")

    async def claim(self, owner: str, *, serves: Mapping[str, Policy], lease_ms: int, most: int) -> list[Claim]:
        """Claims up to `most` runs that this owner may run now: lost ones first, then the agents in turn, within an
        agent its owners in turn, and each owner's runs in order."""
        policies = {agent: policy.model_dump_json(by_alias=True) for agent, policy in serves.items()}
        reply = await self._run("claim", owner, lease_ms, most, json.dumps(policies), "")
        return [self._claim(row) for row in rows(reply)]

    async def take(self, run_id: str, owner: str, *, lease_ms: int) -> Claim | None:
        """Claims one run in order to end it. None unless the run's lease is over, or the run waits and either was
        cancelled or has waited too long."""
        taken = rows(await self._run("claim", owner, lease_ms, 1, "{}", run_id))
        return self._claim(taken[0]) if taken else None

    def _claim(self, row: Sequence[str]) -> Claim:
        """A claim also of a run that cannot be read: its owner ends it."""
        with self._pipe.unreadables.passed_over("run", row[0]):
            return _claim(row)
        return _unreadable(row)

    async def begin(self, claim: Claim, *, unstarted: bool = False) -> bool:
        """Notes that this attempt at a lost run starts an agent. False when another owner has the run.

        Only the log of a lost run shows whether an agent starts. For all other runs the claim has noted it already.
        `unstarted`: the log shows that the attempt before never started its agent, so it does not count.
        """
        return await self._run("begin", claim.run.run_id, claim.token, int(unstarted)) == 1

    async def renew(self, leases: Mapping[str, str], *, lease_ms: int) -> dict[str, Renewal]:
        """Prolongs `leases`, which maps run id to token. An owner whose lease ran out takes it again unless another
        owner has claimed the run."""
        flat = [item for pair in leases.items() for item in pair]
        answers = texts(await self._run("renew", lease_ms, *flat))
        if len(answers) != len(leases):
            raise Unavailable(f"renew answered {len(answers)} of {len(leases)}")
        return {run_id: self._renewal(run_id, answer) for run_id, answer in zip(leases, answers, strict=True)}

    def _renewal(self, run_id: str, answer: str) -> Renewal:
        """A note to stop whose reason cannot be read stops the run, too."""
        verdict, _, note = answer.partition(":")
        reason = StopReason.USER if note else None
        with self._pipe.unreadables.passed_over("run", run_id):
            reason = StopReason(note) if note else None
        return Renewal(held=verdict in ("held", "cancel"), done=verdict == "done", cancel=reason)

    async def release(self, run_id: str, token: str, *, spend: bool, unstarted: bool = False) -> bool:
        """Hands a run back to its place in the queue; without `spend` the attempt does not count against
        `max_attempts`, nor does the lost one before it if it was `unstarted`. False when another owner has the run."""
        return await self._run("release", run_id, token, int(not spend) + int(unstarted), int(unstarted)) == 1

    async def forfeit(self, leases: Mapping[str, str]) -> int:
        """Ends leases whose owner is gone: `leases` maps run id to token. Other owners may claim the runs at once.
        Returns how many of them it still owned."""
        flat = [item for pair in leases.items() for item in pair]
        return number(await self._run("forfeit", *flat))

    async def settle(self, claim: Claim, end: End) -> bool:
        """Ends a run whose log is closed. Repeating it changes nothing. False when another owner has the run; that
        owner settles it."""
        ending = json.dumps({"state": end.state, "code": end.code, "job": JOB})
        remember = claim.run.keeps_transcript and end.state is State.COMPLETED
        turns = _remembered(claim.run, end) if remember else []
        bounds = (TRANSCRIPT_TURNS, TRANSCRIPT_BYTES)
        kept = end.conversation.model_copy(update={"exchange": exchange_digest(turns)}) if end.conversation else None
        own = kept.model_dump_json() if kept else ""
        return await self._run("settle", claim.run.run_id, claim.token, ending, *bounds, own, *turns) == 1

    async def cancel(self, run_id: str, reason: StopReason, *, note: str = "") -> State | None:
        """Notes that the run is to stop; the first reason stays. Returns the run's state, None when there is no such
        run. `note` is the entry for the audit when the request comes from an operator. Raises Unreadable.

        The owner of the lease stops the run within milliseconds. A run that still waits ends at the next `take`.
        """
        state = text(only(await self._run("cancel", run_id, reason.value, note)))
        with self._pipe.unreadables.raised("run", run_id):
            return State(state) if state else None

    async def record(self, run_id: str) -> RunRecord | None:
        """The record of a run; None when the ledger has none, or keeps it no longer. Raises Unreadable."""
        fields = mapping(await self._pipe.command("HGETALL", self.keys.run(run_id)))
        with self._pipe.unreadables.raised("run", run_id):
            return record_of(fields) if fields else None

    async def transcript(self, session_key: str) -> tuple[Turn, ...]:
        """The kept turns of a session, oldest first, without those that cannot be read."""
        try:
            reply = await self._pipe.command("LRANGE", self.keys.transcript(session_key), 0, -1)
        except Unreadable:
            return ()
        named = ((f"{session_key} {place}", turn) for place, turn in enumerate(texts(reply)))
        return tuple(self._pipe.unreadables.readable("turn", named, Turn.model_validate_json))

    async def take_conversation(self, session_key: str, transcript: Sequence[Turn]) -> StoredConversation | None:
        """Removes the agent's own conversation and returns it if it holds `transcript`, else None.

        The caller is about to add to the conversation, so the ledger keeps it no longer. A call repeated because its
        answer was lost returns None.
        """
        kept = None
        with suppress(Unreadable), self._pipe.unreadables.passed_over("conversation", session_key):
            reply = await self._pipe.command("GETDEL", self.keys.conversation(session_key))
            kept = StoredConversation.model_validate_json(reply) if isinstance(reply, bytes) else None
        last = [turn.model_dump_json() for turn in transcript[-2:]]
        return kept if kept and kept.exchange == exchange_digest(last) else None

    async def overdue(self, *, lost_for_ms: int, most: int) -> list[str]:
        """Ids of runs that may lack an owner: their lease has been over for `lost_for_ms`, or their patience is over.
        At most `most` of each kind. Also checks the lanes of runs that wait for their session's turn."""
        return texts(await self._run("overdue", lost_for_ms, most))


def _claim(row: Sequence[str]) -> Claim:
    _, came_from, token, attempt, tries, cancel, begun, now, spec, policy, queued, ready, earlier, losses, *_ = row
    return Claim(
        run=Run.model_validate_json(spec),
        token=token,
        attempt=int(attempt),
        tries=int(tries),
        lost=came_from == State.RUNNING,
        cancel=StopReason(cancel) if cancel else None,
        begun=begun == "1",
        now_ms=int(now),
        policy=Policy.model_validate_json(policy),
        queued_ms=int(queued),
        ready_ms=int(ready),
        earlier=int(earlier),
        losses=int(losses),
    )


def _unreadable(row: Sequence[str]) -> Claim:
    """A claim of a run that is only there to be ended. The script vouches for these fields."""
    run_id, came_from, token, attempt, tries = row[:5]
    agent, session, owner = row[-3:]
    run = Run(
        run_id=run_id, agent_id=agent, session_key=session, owner=owner, model=agent, message="", created_ms=int(row[7])
    )
    lost = came_from == State.RUNNING
    return Claim(run, token, int(attempt), int(tries), lost, None, False, int(row[7]), Policy(), 0, 0, readable=False)


def _remembered(run: Run, end: End) -> list[str]:
    """The turns that the run adds to its session's transcript, as JSON."""
    request = run.current or (Turn(role="user", content=run.message),)
    response = Turn(role="assistant", content=end.text, tool_calls=end.tool_calls)
    return [_remembered_turn(turn) for turn in (*request, response)]


def _remembered_turn(turn: Turn) -> str:
    whole = turn.model_dump_json()
    if turn.parts and len(whole.encode()) > PARTS_BYTES:
        return turn.model_copy(update={"parts": ()}).model_dump_json()
    return whole
