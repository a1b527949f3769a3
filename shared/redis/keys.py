"""Every name in Redis, and how long it lives. No other module spells a key.

The keys of the *ledger* (who runs what) share one hash tag, beside arq's own key names; the ledger stays on one
primary. The keys of a run's *log* are tagged with the run's id, and no script touches both, so logs may live on another
Redis.
"""

from __future__ import annotations

from dataclasses import dataclass

from arq.constants import in_progress_key_prefix, job_key_prefix, result_key_prefix, retry_key_prefix

WORKER_TTL_MS = 15_000  # a worker that has not announced itself for this long is dead
WORKER_MEMORY_MS = (
    600_000  # the API still accepts runs for a dead worker's agents for this long: a deploy may leave no worker
)
JOIN_WINDOW_MS = 600_000  # a client's retry joins the run of its first try within this time
CLOCK_STEP_MS = 7_200_000  # by which Redis's clock may be set, and what must not be forgotten stays
OVERTAKE_MS = 30_000  # a first try that arrives up to this long after its own retry joins the retry's run
BELL_LENGTH = 64  # tokens kept per doorbell: more would only wake workers in vain
BELL_TTL_MS = 60_000  # a token that no worker took is of no use later: workers also poll
WATCH_TTL_MS = 604_800_000  # longer than Redis or all processes are ever away
UNWATCHED_MS = 2_000  # workers and API watch the ledger once a second; a gap of twice that time means that nobody could
LANE_CHECK_MS = (
    30_000  # workers check the lane of a run that waits for its session's turn this often: its holder may be lost
)
LOG_OUTLIVES_MS = 300_000  # a log outlives its run's record, so a run that is listed has its text
FORFEIT_MS = 1_000  # a lease given back counts as over for this long, so that the janitor need not wait for workers
LISTS = 2  # version of the lists in which runs wait and run; processes of other versions do not read them
UNREADABLE_TTL_MS = 3_600_000  # of a record that does not tell how long it lives
ALL = "*"  # in place of an agent id: the pause of the whole queue; no agent has this id
PAUSED_MOST = 1_000  # agents that may be paused at once
AUDIT_LENGTH = 1_000  # entries that the audit keeps
AUDIT_TTL_MS = 2_592_000_000  # 30 days
# Counts over time: (length of a span in ms, how long Redis keeps it: the time that a plot shows, and some more).
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
        """ZSET, arq's queue: waiting runs by their place, or, of those that wait for their session's turn, by the time
        of their next check. Its name carries the version of the lists."""
        return f"{self._ledger}queue:v{LISTS}"

    @property
    def leases(self) -> str:
        """ZSET: running runs by the end of their lease."""
        return f"{self._ledger}leases:v{LISTS}"

    @property
    def deadlines(self) -> str:
        """ZSET: runs that workers may claim, or could but for a pause, by the time at which their patience ends."""
        return f"{self._ledger}deadlines"

    @property
    def checks(self) -> str:
        """ZSET: runs that wait for their session's turn, by the time at which the ledger checks their lane."""
        return f"{self._ledger}checks"

    @property
    def runs(self) -> str:
        """ZSET: every kept run by the time of its acceptance. Each submit drops those beyond the retention."""
        return self._ledger + "runs"

    @property
    def workers(self) -> str:
        """HASH: worker id -> its last announcement. Each announcement drops entries older than WORKER_MEMORY_MS."""
        return self._ledger + "workers"

    @property
    def paused(self) -> str:
        """HASH: agent id or ALL -> when the pause began, and the operator. A pause has no time limit; an operator
        ends it."""
        return self._ledger + "paused"

    @property
    def audit(self) -> str:
        """LIST: what operators did, each entry its time and JSON, newest first."""
        return self._ledger + "audit"

    @property
    def control(self) -> str:
        """Channel: orders to workers."""
        return self._ledger + "control"

    def run(self, run_id: str) -> str:
        """HASH: the run record."""
        return f"{self._ledger}run:{run_id}"

    def state(self, state: str) -> str:
        """ZSET: the runs in this state by the time of their acceptance."""
        return f"{self._ledger}state:{state}"

    def bell(self, name: str) -> str:
        """LIST: a token per run that workers may claim; `name` is an agent id, or `*` for workers that serve any."""
        return f"{self._ledger}bell:{name}"

    def prefixes(self) -> dict[str, str]:
        """The names, and the prefixes to which the ledger's scripts append ids: the table KEY in front of each
        script."""
        return {
            "queue": self.queue,
            "leases": self.leases,
            "runs": self.runs,
            "workers": self.workers,
            "webs": self._ledger + "webs",  # HASH: name of an API process -> its last announcement
            "orders": self._ledger + "orders",  # HASH: worker id -> the operator's order
            "paused": self.paused,
            "audit": self.audit,
            "deadlines": self.deadlines,
            "checks": self.checks,
            "ready": self._ledger + "ready:",  # ZSET of one agent's runs that workers may claim, by their place
            "waiting": self._ledger + "waiting:",  # ZSET of one agent's and one owner's runs that workers may claim
            "owners": self._ledger + "owners:",  # ZSET of the owners of those runs, by when each was last served
            "turns": self._ledger + "turns",  # ZSET of the agents that have such runs, by when each was last served
            "line": self._ledger + "line:",  # ZSET of one agent's runs that wait for their session's turn
            "leased": self._ledger + "leased:",  # ZSET of one agent's running runs by the end of their lease
            "agents": self._ledger + "agents",  # ZSET of the agents by when one of their runs last was seen
            "earlier_queue": self._ledger + "queue:v1",  # ZSET of release 0.2, whose runs this release takes over
            "earlier_leases": self._ledger + "leases:v1",
            "tally": self._ledger + "tally:",  # HASH of the counts of one span of time
            "control": self.control,
            "watch": self._ledger + "watch",  # HASH: when a script last watched, the skew, how long a lease is
            "attended": self._ledger + "attended",  # ZSET of foreground runs, by when they count as abandoned
            "owned": self._ledger + "owned:",  # ZSET of one credential's runs by the time of their acceptance
            "agent": self._ledger + "agent:",  # ZSET of one agent's runs by the time of their acceptance
            "state": self.state(""),
            "run": self.run(""),
            "bell": self.bell(""),
            "lane": self._ledger + "lane:",  # LIST of the run ids of one session; only the first may run
            "session": self._ledger + "session:",  # STRING: the credential that first used a session key
            "transcript": self._ledger + "transcript:",  # LIST of turns as JSON, oldest first
            "conversation": self._ledger + "conversation:",  # STRING: the agent's own conversation with the same turns
            "once": self._ledger + "once:",  # HASH: run id and digest of an idempotency key, or of a body
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
        """STREAM: the run's events; entry `0-<seq>`, field `e`. The stream of a compacted log also has blocks: entry
        `0-<seq of the last event>`, field `z` (`shared/log/packing.py`)."""
        return f"{self.namespace}:{{{run_id}}}:events"

    def head(self, run_id: str) -> str:
        """HASH: attempt (the fence), seq, chars, message, calls, the attempt whose start the log has, when the worker
        wrote the first text, and the terminal record once there is one."""
        return f"{self.namespace}:{{{run_id}}}:head"

    def channel(self, run_id: str) -> str:
        """Channel: a message for each write to the stream, its events joined by newlines."""
        return f"{self.namespace}:{{{run_id}}}:live"
