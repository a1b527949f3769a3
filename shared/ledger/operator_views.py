"""The answers to operators, as JSON: the API writes them, and the command line reads them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.run.events import Phase, StopReason, Tokens
from shared.run.states import State

StepKind = Literal[Phase, "text", "tool", "tool_result", "call"]


class TimelineStep(BaseModel):
    """`text` is the first text of an attempt, `call` a call of one of the client's own tools."""

    seq: int = Field(description="Number of the event.")
    at_ms: int = Field(description="By the clock of the process that wrote the event.")
    attempt: int
    what: StepKind
    note: str = Field(description="The worker, the tool, the code of an error, the reason of a stop; else empty.")


class AdminRunView(BaseModel):
    """Times are ms since the epoch by Redis's clock; null stands for "not yet"."""

    model_config = ConfigDict(frozen=True)

    id: str
    object: Literal["run"] = "run"
    state: State
    agent: str
    session: str
    owner: str = Field(description="Name of the credential that made it.")
    worker: str | None = Field(description="The last owner: a worker, or the API process that ended the run.")
    attempt: int = Field(description="Number of the attempt that last started the agent; 0 when none has.")
    tries: int = Field(description="Attempts that count against the agent's `max_attempts`.")
    queued_ms: int
    ready_ms: int | None = Field(description="When its session's turn last came.")
    started_ms: int | None
    first_text_ms: int | None
    ended_ms: int | None
    wait_ms: int | None = Field(
        description="From its session's turn to its start, to its end without a start, or up to now; null in between."
    )
    code: str | None = Field(description="Why it failed.")
    cancel_requested: StopReason | None
    again: str | None = Field(description="The last run that repeats this one.")


class AdminRunList(BaseModel):
    object: Literal["list"] = "list"
    data: list[AdminRunView]
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last one.")
    now_ms: int = Field(description="The time now, from which a client reckons ages.")


class RunErrorView(BaseModel):
    code: str
    message: str = Field(description="The message that clients get.")
    detail: str = Field(description="For operators: the end of a command's stderr, or an exception.")


class AdminRunDetail(AdminRunView):
    """A run with its request and the answer so far."""

    message: str
    extra_system_prompt: str
    history_turns: int = Field(description="Earlier turns that the request carried.")
    model: str = Field(description="As the request wrote it.")
    background: bool = Field(description="Whether the run goes on without a reader.")
    again_of: str | None = Field(description="The run that this one repeats.")
    queue_position: int | None
    text: str = Field(description="The agent's answer so far.")
    last_event: int = Field(description="Number of the last event.")
    usage: Tokens | None
    error: RunErrorView | None
    timeline: list[TimelineStep]
    timeline_complete: bool = Field(description="False when the run has more events than the API read.")


class Deleted(BaseModel):
    id: str
    object: Literal["run.deleted"] = "run.deleted"


class RerunPair(BaseModel):
    id: str = Field(description="The run that had ended.")
    again: str = Field(description="The run that repeats it.")


class RerunRefusal(BaseModel):
    id: str
    code: str = Field(description="Why the API refused to run it again.")
    message: str


class RerunResult(BaseModel):
    object: Literal["list"] = "list"
    data: list[RerunPair]
    refused: list[RerunRefusal]
    next_cursor: str | None = Field(description="`cursor` of the next request, which may find more; null at the end.")


class RunLoad(BaseModel):
    """Runs that have not ended."""

    waiting: int = Field(description="For a worker.")
    held: int = Field(description="Behind a pause.")
    in_line: int = Field(description="For their session's turn.")
    running: int
    oldest_wait_ms: int = Field(description="How long the first waiting run has been ready for a worker.")


class AgentLoad(RunLoad):
    agent: str


class ServiceLoad(RunLoad):
    completed: int = Field(description="Among the runs that the service keeps; so for `failed` and `cancelled`.")
    failed: int
    cancelled: int


class RedisView(BaseModel):
    """A field is null where this Redis does not report it."""

    round_trip_ms: float
    version: str | None
    memory_bytes: int | None
    max_memory_bytes: int | None = Field(description="0: no bound.")
    clients: int | None
    max_clients: int | None


class SpanView(BaseModel):
    at_ms: int = Field(description="When the span began.")
    seconds: int
    accepted: int
    completed: int
    failed: int
    cancelled: int
    running: int = Field(description="The highest number in the span.")
    waiting: int = Field(description="The highest number in the span.")
    wait_p50_ms: float | None = Field(description="Half of the runs that workers claimed waited no longer than this.")
    wait_p95_ms: float | None
    deltas_per_second: float


class StatsView(BaseModel):
    now_ms: int
    now: ServiceLoad
    agents: list[AgentLoad] = Field(description="The agents that have runs among the first in the queue or at work.")
    redis: RedisView
    series: list[SpanView] = Field(description="Oldest first; the last span has not ended, so its counts still grow.")


class PauseView(BaseModel):
    since_ms: int
    who: str = Field(description="Name of the credential that paused it.")


class QueuedAgent(RunLoad):
    agent: str
    paused: PauseView | None = Field(description="Its own pause; the whole queue may have another.")


class QueueView(RunLoad):
    paused: PauseView | None = Field(description="The pause of the whole queue.")
    agents: list[QueuedAgent] = Field(description="The agents that are paused, or have runs that wait or run.")


WorkerState = Literal["serving", "draining", "drained", "gone", "lost"]


class WorkerView(BaseModel):
    name: str
    host: str
    pid: int
    version: str
    state: WorkerState = Field(
        description="`draining`: takes no runs and has some; `drained`: has none left; `gone`: announced its end;"
        " `lost`: has not announced itself for too long."
    )
    ordered: bool = Field(description="It drains by an operator's order, and serves again when resumed.")
    agents: list[str]
    slots: int
    running: int
    since_ms: int = Field(description="When it started, by its own clock.")
    age_ms: int = Field(description="Since its last announcement.")
    memory_bytes: int = Field(description="Of its own process, without its agents.")


class WebView(BaseModel):
    name: str
    host: str
    pid: int
    version: str
    state: Literal["serving", "lost"]
    streams: int = Field(description="Clients that read a run from it now.")
    lag_ms: float = Field(description="The longest delay of its event loop since the announcement before.")
    since_ms: int
    age_ms: int
    memory_bytes: int


class WorkersView(BaseModel):
    """The processes that announced themselves in the last ten minutes."""

    workers: list[WorkerView]
    webs: list[WebView] = Field(description="Processes of this API.")


class SessionView(BaseModel):
    session: str
    agent: str
    owner: str
    runs: int = Field(description="Runs that have not ended.")
    holder: str | None = Field(description="The run at work; null while none is.")
    worker: str | None = Field(description="The worker that runs it.")
    since_ms: int | None = Field(description="When it started.")
    waiting: list[str] = Field(description="The runs behind it, among the first ten of the session.")


class SessionsView(BaseModel):
    """The longest lanes first, found among the thousand oldest waiting runs and the thousand oldest running ones."""

    data: list[SessionView]


class AuditEntryView(BaseModel):
    at_ms: int
    who: str = Field(description="Name of the credential.")
    act: str = Field(description="What was done, such as `queue.pause`.")
    target: str = Field(description="The run, the worker or the agent; `*` is the whole queue.")


class AuditView(BaseModel):
    """Newest first. Redis keeps the last thousand entries, for thirty days."""

    data: list[AuditEntryView]
