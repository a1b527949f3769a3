"""The body of `POST /v1/runs`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from api.http import api_errors
from api.http.json_value import JsonObject
from api.intake.model_options import ModelOptions, read_model_options
from api.intake.prompt import Prompt, read_prompt
from shared.run.agent_ids import DEFAULT_AGENT, RequestedAgent, normalise_agent_id
from shared.run.model_params import PARAMS, TOOLS
from shared.run.sessions import IllegalSessionKey, Session, resolve_session
from shared.run.text import js_trim


class RunRequest(BaseModel):
    """The run to start, with either `input` or `messages`. The API refuses unknown fields, so that it does not ignore a
    misspelt one."""

    model_config = ConfigDict(extra="forbid", strict=True)

    agent: str = Field(DEFAULT_AGENT, min_length=1, description="Id of the agent.")
    input: str | None = Field(None, description="The user's message.")
    messages: list[JsonValue] | None = Field(None, description="A conversation as in chat completions.")
    tools: list[JsonObject] | None = Field(None, description="Tools of the client, which the agent may call.")
    params: JsonObject = Field({}, description="Fields of a chat completion for the model, such as `temperature`.")
    session: str | None = Field(None, description="Session key. Runs of one session run one after the other.")
    background: bool = Field(True, description="Go on without readers. Otherwise the run ends with its last reader.")

    @property
    def prompt(self) -> Prompt:
        """The conversation. Raises ApiError 400."""
        if (self.input is None) == (self.messages is None):
            raise api_errors.invalid_value("input", "give either `input` or `messages`")
        if self.input is not None and not js_trim(self.input):
            raise api_errors.invalid_value("input", "says nothing")
        return read_prompt(self.messages or [{"role": "user", "content": self.input}])

    @property
    def ask(self) -> ModelOptions:
        """The options for the model. Raises ApiError 400."""
        if unknown := [name for name in self.params if name not in PARAMS]:
            raise api_errors.invalid_value(f"params.{unknown[0]}", f"unknown; known are {', '.join(PARAMS)}")
        return read_model_options({**self.params, TOOLS: [*(self.tools or ())]})

    def resolved(self) -> Session:
        """The agent and the session. Raises ApiError 400."""
        try:
            agent = RequestedAgent(normalise_agent_id(self.agent), explicit="agent" in self.model_fields_set)
            return resolve_session(agent, header=self.session, user=None)
        except IllegalSessionKey as illegal:
            raise api_errors.illegal_session_key(str(illegal)) from None


def run_request(body: JsonObject) -> RunRequest:
    """Parses the body. Raises ApiError 400 that names the wrong field."""
    try:
        return RunRequest.model_validate(body)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        raise api_errors.invalid_value(".".join(map(str, first["loc"])), first["msg"]) from None
