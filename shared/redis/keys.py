"""Every name in Redis, and how long it lives. Nothing else spells a key.

The *ledger* (who runs what) shares one hash tag and arq's own key names; it stays on one primary. The *log* of a run
(what was said) is tagged with the run's id, so logs may live on another Redis or spread over a cluster. No script
touches both.
"""

from __future__ import annotations

from dataclasses import dataclass

from arq.constants import in_progress_key_prefix, job_key_prefix, result_key_prefix, retry_key_prefix

from shared.run.run import CONTRACT

WORKER_TTL_MS = 15_000  # a worker that has not announced itself for this long is dead
WORKER_MEMORY_MS = (
    600_000  # agents of dead workers are still accepted for this long: a deploy may leave no worker for a moment
)
JOIN_WINDOW_MS = 600_000  # an SDK's retry joins the run of its first try within this time
OVERTAKE_MS = 30_000  # a first try joins the run of its own retry, which has overtaken it by up to this time
GRACE_MS = 10_000  # a foreground run without a reader goes on for this long: phones lose networks, pages are reloaded
READER_LEASE_MS = GRACE_MS + 3_000  # a reader says every 3 s that it is there
BELL_LENGTH = 64  # tokens kept per doorbell: more would only wake workers for nothing
BELL_TTL_MS = 60_000  # an unheard ring is of no use later: workers also poll
WATCH_TTL_MS = 86_400_000  # longer than Redis is ever away
UNWATCHED_MS = (
    2_000  # workers and API look at the leases once a second; twice that long nobody looks only without Redis
)
LANE_CHECK_MS = (
    30_000  # a run that waits for its session's turn looks at its lane this often, in case a holder vanished
)
ALL = "*"  # what is paused: an agent's runs, or all; no agent has this id
PAUSED_MOST = 1_000  # agents that may be paused at once
AUDIT_LENGTH = 1_000  # acts of operators that are kept
AUDIT_TTL_MS = 2_592_000_000  # 30 days
# What is counted over time: spans of so many ms, each kept for the time that a plot shows, and some more.
TALLIES = {"minute": (60_000, 2 * 3_600_000), "quarter": (900_000, 26 * 3_600_000)}


@dataclass(frozen=True)
class Keys:
    """The names of one namespace. Services with different namespaces may share a Redis."""

    namespace: str

    @property
    def _ledger(self) -> str:
        return f"{{{self.namespace}}}:"

    @property
    def queue(self) -> str:
        """ZSET, arq's queue: waiting runs by the time from which they may be claimed. Carries the contract's
        version."""
        return f"{self._ledger}queue:v{CONTRACT}"

    @property
    def leases(self) -> str:
        """ZSET: running runs by the end of their lease."""
        return f"{self._ledger}leases:v{CONTRACT}"

    @property
    def runs(self) -> str:
        """ZSET: every kept run by the time it was accepted. Trimmed to the retention at each submit."""
        return self._ledger + "runs"

    @property
    def workers(self) -> str:
        """HASH: worker id -> its last announcement. Entries older than WORKER_MEMORY_MS are dropped at each
        announcement."""
        return self._ledger + "workers"

    @property
    def paused(self) -> str:
        """HASH: agent id or ALL -> since when, and by whom. An operator ends it, and no time."""
        return self._ledger + "paused"

    @property
    def audit(self) -> str:
        """LIST: acts of operators as JSON, newest first."""
        return self._ledger + "audit"

    @property
    def control(self) -> str:
        """Channel: orders to workers."""
        return self._ledger + "control"

    def run(self, run_id: str) -> str:
        """HASH: the run record."""
        return f"{self._ledger}run:{run_id}"

    def state(self, state: str) -> str:
        """ZSET: the runs in this state by the time they were accepted."""
        return f"{self._ledger}state:{state}"

    def bell(self, name: str) -> str:
        """LIST: a token per run that may be claimed; `name` is an agent id, or `*` for workers that serve any."""
        return f"{self._ledger}bell:{name}"

    def prefixes(self) -> dict[str, str]:
        """What the ledger's scripts put ids behind: the table KEY in front of their text."""
        return {
            "queue": self.queue,
            "leases": self.leases,
            "runs": self.runs,
            "workers": self.workers,
            "webs": self._ledger + "webs",  # HASH: name of an API process -> its last announcement
            "orders": self._ledger + "orders",  # HASH: worker id -> what it was told to do until told otherwise
            "paused": self.paused,
            "audit": self.audit,
            "parked": self._ledger + "parked:",  # ZSET of runs that a pause holds back, by their place in the queue
            "tally": self._ledger + "tally:",  # HASH of what was counted in a span of time
            "control": self.control,
            "watch": self._ledger + "watch",  # HASH: when somebody last looked at the leases, and how long they are
            "attended": self._ledger + "attended",  # ZSET of runs that end without readers, by when nobody reads them
            "owned": self._ledger + "owned:",  # ZSET of one credential's runs by the time they were accepted
            "agent": self._ledger + "agent:",  # the same of one agent
            "state": self.state(""),
            "run": self.run(""),
            "bell": self.bell(""),
            "lane": self._ledger + "lane:",  # LIST of run ids of one session; the first may run
            "session": self._ledger + "session:",  # STRING: the credential that first used a session key
            "transcript": self._ledger + "transcript:",  # LIST of turns as JSON, oldest first
            "conversation": self._ledger + "conversation:",  # STRING: the agent's own, which holds the same
            "once": self._ledger + "once:",  # HASH: run and body behind an idempotency key, or a body
            "job": job_key_prefix,
            "lock": in_progress_key_prefix,
            "result": result_key_prefix,
            "retry": retry_key_prefix,
        }

    def transcript(self, session_key: str) -> str:
        return self.prefixes()["transcript"] + session_key

    def conversation(self, session_key: str) -> str:
        return self.prefixes()["conversation"] + session_key

    def stream(self, run_id: str) -> str:
        """STREAM: the run's events; entry `0-<seq>`, field `e`. Of a compacted log also blocks, in field `z`, by the
        number of their last event (`shared/log/packing.py`)."""
        return f"{self.namespace}:{{{run_id}}}:events"

    def head(self, run_id: str) -> str:
        """HASH: attempt (the fence), seq, chars, message, calls, when the first text was written, and the terminal
        record once there is one."""
        return f"{self.namespace}:{{{run_id}}}:head"

    def channel(self, run_id: str) -> str:
        """Channel: each write to the stream, its events joined by newlines."""
        return f"{self.namespace}:{{{run_id}}}:live"
