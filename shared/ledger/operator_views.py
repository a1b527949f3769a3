"""What operators are told, as JSON: the API writes it, and the command line reads it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.run.events import StopReason, Tokens
from shared.run.states import State

StepKind = Literal["queued", "start", "text", "tool", "tool_result", "call", "end", "error", "cancelled"]


class TimelineStep(BaseModel):
    """`text` is the first text of an attempt; `call` one of the client's own tools."""

    seq: int = Field(description="Number of the event.")
    at_ms: int = Field(description="By the clock of the process that said it.")
    attempt: int
    what: StepKind
    note: str = Field(description="The worker, the tool, the code of an error, the reason of a stop; else empty.")


class AdminRunView(BaseModel):
    """Times are ms since the epoch by Redis's clock; null when it has not come to that."""

    model_config = ConfigDict(frozen=True)

    id: str
    object: Literal["run"] = "run"
    state: State
    agent: str
    session: str
    owner: str = Field(description="Name of the credential that made it.")
    worker: str | None = Field(description="Who took it last: a worker, or the API process that ended it.")
    attempt: int = Field(description="Number of the attempt that last started the agent; 0 when none has.")
    tries: int = Field(description="Attempts that count against the agent's `max_attempts`.")
    queued_ms: int
    ready_ms: int | None = Field(description="When its session's turn came, last.")
    started_ms: int | None
    first_text_ms: int | None
    ended_ms: int | None
    wait_ms: int | None = Field(description="From its session's turn to its start, or up to now; null in between.")
    code: str | None = Field(description="Why it failed.")
    cancel_requested: StopReason | None
    again: str | None = Field(description="The run as which it was run again, last.")


class AdminRunList(BaseModel):
    object: Literal["list"] = "list"
    data: list[AdminRunView]
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last one.")
    now_ms: int = Field(description="To tell ages by.")


class RunErrorView(BaseModel):
    code: str
    message: str = Field(description="As clients get it.")
    detail: str = Field(description="For operators: the last of what a command wrote to stderr, an exception.")


class AdminRunDetail(AdminRunView):
    """A run with what was asked and said."""

    message: str
    extra_system_prompt: str
    history_turns: int = Field(description="Earlier turns that the request carried.")
    model: str = Field(description="As the request wrote it.")
    background: bool = Field(description="Whether the run goes on when nobody reads it.")
    again_of: str | None = Field(description="The run that was run again as this one.")
    queue_position: int | None
    text: str = Field(description="What the agent has said so far.")
    last_event: int = Field(description="Number of the last event.")
    usage: Tokens | None
    error: RunErrorView | None
    timeline: list[TimelineStep]
    timeline_complete: bool = Field(description="False when the run has more events than were looked at.")


class Deleted(BaseModel):
    id: str
    object: Literal["run.deleted"] = "run.deleted"


class RerunPair(BaseModel):
    id: str = Field(description="The run that had ended.")
    again: str = Field(description="The run that does it again.")


class RerunRefusal(BaseModel):
    id: str
    code: str = Field(description="Why it was not run again.")
    message: str


class RerunResult(BaseModel):
    object: Literal["list"] = "list"
    data: list[RerunPair]
    refused: list[RerunRefusal]
    next_cursor: str | None = Field(description="There may be more: `cursor` of a request for those. Null at the end.")


class RunLoad(BaseModel):
    """Runs that have not ended."""

    waiting: int = Field(description="For a worker.")
    held: int = Field(description="Behind a pause.")
    in_line: int = Field(description="For their session's turn.")
    running: int
    oldest_wait_ms: int = Field(description="How long the first of the waiting ones could have been started.")


class AgentLoad(RunLoad):
    agent: str


class ServiceLoad(RunLoad):
    completed: int = Field(description="Of the runs that are kept.")
    failed: int
    cancelled: int


class RedisView(BaseModel):
    """Null where this Redis does not say."""

    round_trip_ms: float
    version: str | None
    memory_bytes: int | None
    max_memory_bytes: int | None = Field(description="0: no bound.")
    clients: int | None
    max_clients: int | None


class SpanView(BaseModel):
    at_ms: int = Field(description="When it began.")
    seconds: int
    accepted: int
    completed: int
    failed: int
    cancelled: int
    running: int = Field(description="The most that were seen.")
    waiting: int = Field(description="The most that were seen.")
    wait_p50_ms: float | None = Field(description="Half of the runs that were taken waited no longer for a worker.")
    wait_p95_ms: float | None
    deltas_per_second: float


class StatsView(BaseModel):
    now_ms: int
    now: ServiceLoad
    agents: list[AgentLoad] = Field(description="Those that have runs among the first in the queue or at work.")
    redis: RedisView
    series: list[SpanView] = Field(description="Oldest first; the last one is still counted.")


class PauseView(BaseModel):
    since_ms: int
    who: str = Field(description="Name of the credential that paused it.")


class QueuedAgent(RunLoad):
    agent: str
    paused: PauseView | None = Field(description="Its own pause; the whole queue may have another.")


class QueueView(RunLoad):
    paused: PauseView | None = Field(description="The pause of the whole queue.")
    agents: list[QueuedAgent] = Field(description="Those that are paused, or have runs that wait or run.")


WorkerState = Literal["serving", "draining", "drained", "gone", "lost"]


class WorkerView(BaseModel):
    name: str
    host: str
    pid: int
    version: str
    state: WorkerState = Field(
        description="`draining`: takes no runs and has some; `drained`: has none left; `gone`: said that it ended;"
        " `lost`: has not been heard of for too long."
    )
    ordered: bool = Field(description="It drains because an operator said so, and serves again when resumed.")
    agents: list[str]
    slots: int
    running: int
    since_ms: int = Field(description="When it began, by its own clock.")
    age_ms: int = Field(description="Since it was last heard of.")
    memory_bytes: int = Field(description="Of its own process, without those of its agents.")


class WebView(BaseModel):
    name: str
    host: str
    pid: int
    version: str
    state: Literal["serving", "lost"]
    streams: int = Field(description="Clients that it has reading a run.")
    lag_ms: float = Field(description="The longest that its event loop was held up lately.")
    since_ms: int
    age_ms: int
    memory_bytes: int


class WorkersView(BaseModel):
    """Those that were heard of in the last ten minutes."""

    workers: list[WorkerView]
    webs: list[WebView] = Field(description="Processes of this API.")


class SessionView(BaseModel):
    session: str
    agent: str
    owner: str
    runs: int = Field(description="That have not ended.")
    holder: str | None = Field(description="The run at work; null while none is.")
    worker: str | None = Field(description="Where it is at work.")
    since_ms: int | None = Field(description="When it was started.")
    waiting: list[str] = Field(description="The runs behind it, the first ten of the session at most.")


class SessionsView(BaseModel):
    """The longest lanes first, of the thousand oldest runs that wait and as many that run."""

    data: list[SessionView]


class AuditEntryView(BaseModel):
    at_ms: int
    who: str = Field(description="Name of the credential.")
    act: str = Field(description="Such as `queue.pause`, `worker.drain`, `run.cancel`, `run.retry`, `run.delete`.")
    target: str = Field(description="The run, the worker or the agent; `*` is the whole queue.")


class AuditView(BaseModel):
    """Newest first; the last thousand of the last thirty days are kept."""

    data: list[AuditEntryView]
