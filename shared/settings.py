"""Settings: a row for each. A `__main__` reads them once, and passes them down as one frozen value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from shared.redis.redis_url import parse_redis_url
from shared.run.errors import SettingsError


def _redis_url(url: str) -> str:
    parse_redis_url(url)
    return url


def _tokens(value: object) -> object:
    """`name:token,name:token` as a mapping."""
    if not isinstance(value, str):
        return value
    tokens: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in value.split(","))):
        name, colon, token = item.partition(":")
        if not colon or not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name) or not token:
            raise ValueError(
                "must be name:token, several separated by commas; a name has letters, digits, '_', '.' or '-'"
            )
        if name in tokens:
            raise ValueError(f"names the credential {name!r} twice")
        tokens[name] = token
    return tokens


Tokens = Annotated[dict[str, str], BeforeValidator(_tokens)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]


class Settings(BaseModel):
    """What an operator can set. Field names are the environment's in lower case; an empty variable counts as unset.

    A new setting is a field here; `make settings` then writes its row into docs/settings.md. `repr=False` marks a
    secret: no process prints its value.
    """

    # Not pydantic-settings' BaseSettings: each `Settings()` would read os.environ, even when the caller passes a
    # mapping, and PORT=" " would be a wrong number.
    model_config = ConfigDict(frozen=True)

    port: int = Field(8000, ge=1, le=65535, description="Port on which the API listens.")
    host: str = Field(
        "", description="Address that the API binds. Empty: all interfaces, or 127.0.0.1 with `AUTH=none`."
    )
    redis_url: RedisUrl = Field(
        "redis://127.0.0.1:6379",
        repr=False,
        description="The ledger's Redis or Valkey, 6.2 or later; [redis.md](redis.md) has the forms.",
    )
    events_redis_url: RedisUrl | None = Field(
        None, repr=False, description="Redis of the event logs. Empty: that of `REDIS_URL`."
    )
    auth: Literal["token", "none"] = Field(
        "token",
        description="`token`: clients need a bearer token. `none`: they need none, on a loopback bind only.",
    )
    api_tokens: Tokens = Field({}, repr=False, description="Credentials as `name:token`, separated by commas.")
    clawdbot_gateway_token: str = Field("", repr=False, description="Another token, of the credential `gateway`.")
    clawdbot_gateway_password: str = Field(
        "",
        repr=False,
        description="Another token of the credential `gateway`, for clients that are configured with a password.",
    )
    monitor_tokens: Tokens = Field(
        {}, repr=False, description="Credentials, as in `API_TOKENS`, that may read every run, worker and queue."
    )
    operate_tokens: Tokens = Field(
        {},
        repr=False,
        description="Credentials, as in `API_TOKENS`, that may also pause, drain, cancel, delete and run again.",
    )
    agents_file: Path = Field(
        Path("agents.toml"),
        description="File of the agents that a worker serves. Without it, a worker serves the agents that it finds.",
    )
    worker_concurrency: int = Field(10, ge=1, le=10_000, description="Runs that one worker executes at once.")
    drain_seconds: Seconds = Field(
        25, description="Time that a stopping process gives its runs. Heroku kills it after 30."
    )
    lame_duck_seconds: float = Field(
        0,
        ge=0,
        le=3600,
        description="Time for which a web process that was told to stop still takes requests, while `/readyz` is 503:"
        " as long as a load balancer needs to notice. `DRAIN_SECONDS` begins afterwards.",
    )
    lease_seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        10,
        description="A worker that is silent for this long loses its runs. It renews leases at a third of the time.",
    )
    max_body_bytes: int = Field(1_048_576, ge=1_024, le=67_108_864, description="Largest request body.")
    queue_timeout_seconds: Seconds = Field(
        300, description="A run that no worker claims in this time fails (`queue_timeout`)."
    )
    run_timeout_seconds: Seconds = Field(
        600, description="A run that takes longer fails (`run_timeout`), unless its agent has a `timeout_seconds`."
    )
    retention_seconds: Annotated[float, Field(ge=60, le=31_536_000)] = Field(
        86_400, description="How long Redis keeps runs, events and transcripts."
    )
    workdir_ttl_seconds: Annotated[float, Field(ge=0, le=31_536_000)] = Field(
        604_800, description="How long a worker keeps the directory of a session after its last use. 0: for ever."
    )
    max_waiting_runs: int = Field(
        10_000, ge=1, description="Runs that may wait in all; further requests get 429 `queue_full`."
    )
    max_waiting_per_session: int = Field(20, ge=1, description="Runs that may wait in one session.")
    empty_answer: str = Field(
        "No response from Clawdbot.",
        min_length=1,
        description="The answer that a client gets when the agent emitted no text.",
    )
    namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = Field(
        "runrelay", description="Prefix of every Redis key except arq's own."
    )
    metrics_token: str = Field(
        "",
        repr=False,
        description="Bearer token for `/metrics` only. The API also accepts `MONITOR_TOKENS` and `OPERATE_TOKENS`.",
    )
    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port of a worker's own `/metrics` and `/healthz`. Empty: the worker has no port.",
    )
    log_format: Literal["text", "json"] = Field("text", description="Format of log lines: `text` or `json`.")
    log_content: bool = Field(
        False, description="`1`: log lines also hold prompts, answers, session keys and texts of exceptions."
    )

    @property
    def events_url(self) -> str:
        return self.events_redis_url or self.redis_url

    @property
    def bind(self) -> str:
        return self.host or ("127.0.0.1" if self.auth == "none" else "0.0.0.0")  # noqa: S104 - a service behind a router; with a token

    @property
    def credentials(self) -> dict[str, frozenset[str]]:
        """Tokens by the name of their credential."""
        named = {name: frozenset({token}) for name, token in self.api_tokens.items()}
        gateway = frozenset(filter(None, (self.clawdbot_gateway_token, self.clawdbot_gateway_password)))
        return {**named, "gateway": gateway | named.get("gateway", frozenset())} if gateway else named


@dataclass(frozen=True)
class Setting:
    """A row of the settings table."""

    name: str
    default: str
    help: str
    secret: bool


def _row(field: str) -> Setting:
    info = Settings.model_fields[field]
    default = {"None": "", "{}": "", "False": "0"}.get(str(info.default), str(info.default))
    return Setting(field.upper(), default, info.description or "", secret=not info.repr)


SHORT = 5  # HOST and PORT are too short to be told from the names of other programs
NEAR = 0.88  # how alike two names are, from 0 to 1: a letter more or less, or two that are swapped

SETTINGS: tuple[Setting, ...] = tuple(_row(field) for field in Settings.model_fields)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings that an environment holds. Raises SettingsError with one line per wrong value."""
    given = {row.name.lower(): environment[row.name] for row in SETTINGS if environment.get(row.name, "").strip()}
    try:
        return Settings.model_validate(given)
    except ValidationError as wrong:
        rows = {row.name.lower(): row for row in SETTINGS}
        lines = [_complaint(rows[str(e["loc"][0])], given[str(e["loc"][0])], e["msg"]) for e in wrong.errors()]
        raise SettingsError("\n".join(dict.fromkeys(lines))) from None


def near_misses(environment: Mapping[str, str]) -> list[str]:
    """A line for each variable whose name is nearly that of a setting: it would be passed over in silence."""
    names = [row.name for row in SETTINGS if len(row.name) > SHORT]
    near = {name: get_close_matches(name, names, 1, NEAR) for name in sorted(environment) if name not in names}
    return [f"{name} is no setting; {found[0]} is" for name, found in near.items() if found]


def _complaint(row: Setting, value: str, message: str) -> str:
    shown = "(not shown)" if row.secret else repr(value)
    return f"{row.name}={shown}: {message.removeprefix('Value error, ')}"
