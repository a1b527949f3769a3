"""Models of chat bodies, for the OpenAPI document.

The API checks nothing against them at run time: `api/chat/chat_request.py` reads requests leniently, and
`api/chat/chat_view.py` writes answers by hand. A change of those files needs a change here, too. Tests compare real
answers with these models.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """An object that may have other fields, too."""

    model_config = ConfigDict(extra="allow")


# --- requests ---------------------------------------------------------------------------------------------------------


class ContentPart(Shape):
    """A part with text. Agents of kind `openai` also get pictures, sound and files of users. The API ignores others."""

    type: str = Field(examples=["text", "input_text", "image_url", "input_audio", "file"])
    text: str | None = None


class CalledFunction(BaseModel):
    name: str
    arguments: str = Field(description="JSON, as the model wrote it.")


class CalledTool(Shape):
    id: str
    type: Literal["function"]
    function: CalledFunction


class ChatMessage(Shape):
    """One message. The API ignores messages without content."""

    role: Literal["user", "assistant", "system", "developer", "tool", "function"]
    content: str | list[ContentPart] | None = None
    tool_calls: list[CalledTool] | None = Field(None, description="The calls that an answer requested.")
    tool_call_id: str | None = Field(None, description="The call whose result the message holds.")


class ClientTool(Shape):
    """A function of the client, which the agent may request it to call."""

    type: str = Field(examples=["function"])


class StreamOptions(Shape):
    include_usage: bool = Field(False, description="Send a last chunk that has the token counts.")


class ChatRequestBody(Shape):
    """The fields of a chat completion request that the API uses.

    The model of an agent of kind `openai` also gets `temperature`, `max_tokens`, `response_format`, `tool_choice` and
    similar fields, as far as the agent allows. The API accepts and ignores other fields.
    """

    messages: list[ChatMessage] = Field(min_length=1, description="The conversation. It must have a user message.")
    model: str = Field(
        "clawdbot", description="`clawdbot:ID` or the id of an agent. Any other name means agent `main`."
    )
    stream: bool = Field(False, description="Send the answer while the agent writes it.")
    stream_options: StreamOptions | None = None
    tools: list[ClientTool] | None = Field(
        None, description="For agents that can request calls. Other agents ignore them."
    )
    user: str | None = Field(None, description="Requests with the same user share a session.")


# --- responses --------------------------------------------------------------------------------------------------------


class TokenCounts(BaseModel):
    """Token counts as the agent reported them; zeros when it reported none."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(BaseModel):
    role: Literal["assistant"]
    content: str | None = Field(description="Null only with `tool_calls`.")
    tool_calls: list[CalledTool] | None = Field(
        None, description="Calls that the client is to make. It sends their results in its next request."
    )


class Choice(BaseModel):
    index: Literal[0]
    message: AnswerMessage
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter"]


class Completion(BaseModel):
    id: str = Field(description="Id of the run.")
    object: Literal["chat.completion"]
    created: int = Field(description="Seconds since the epoch.")
    model: str = Field(description="`model` of the request.")
    choices: list[Choice] = Field(min_length=1, max_length=1)
    usage: TokenCounts


class Model(BaseModel):
    id: str = Field(description="Id of an agent.")
    object: Literal["model"]
    created: int
    owned_by: str
    description: str


class ModelList(BaseModel):
    object: Literal["list"]
    data: list[Model]
