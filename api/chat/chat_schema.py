"""Bodies that the code reads and writes by hand, as the API's description shows them.

Nothing is checked against these at run time: `api/chat/chat_request.py` reads requests leniently, and
`api/chat/chat_view.py` writes answers by hand. A change of those files changes this one, too; tests hold real answers
against it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """An object that may hold more than is said of it."""

    model_config = ConfigDict(extra="allow")


# --- what is asked ----------------------------------------------------------------------------------------------------


class ContentPart(Shape):
    """A part with text. Agents of kind `openai` get pictures, sound and files of users, too; others are ignored."""

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
    """One message. Those that say nothing are ignored."""

    role: Literal["user", "assistant", "system", "developer", "tool", "function"]
    content: str | list[ContentPart] | None = None
    tool_calls: list[CalledTool] | None = Field(None, description="Of an answer that has asked for them.")
    tool_call_id: str | None = Field(None, description="Of a tool's result: the call that it answers.")


class ClientTool(Shape):
    """A function of the client's, which the agent may ask it to call."""

    type: str = Field(examples=["function"])


class StreamOptions(Shape):
    include_usage: bool = Field(False, description="Send a last chunk with the token counts.")


class ChatRequestBody(Shape):
    """What is understood of a chat completion request.

    `temperature`, `max_tokens`, `response_format`, `tool_choice` and their like reach the model of an agent of kind
    `openai`, as far as the agent allows. Other fields are accepted and ignored.
    """

    messages: list[ChatMessage] = Field(
        min_length=1, description="The conversation; a user has to say something in it."
    )
    model: str = Field(
        "clawdbot", description="`clawdbot:ID` or the id of an agent; any other name means agent `main`."
    )
    stream: bool = Field(False, description="Send the answer while it is made.")
    stream_options: StreamOptions | None = None
    tools: list[ClientTool] | None = Field(None, description="For agents that can ask for them; others ignore them.")
    user: str | None = Field(None, description="Requests that name the same user share a session.")


# --- what is answered -------------------------------------------------------------------------------------------------


class TokenCounts(BaseModel):
    """As the agent reported them; zeros when it reported none."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(BaseModel):
    role: Literal["assistant"]
    content: str | None = Field(description="Null only beside `tool_calls`.")
    tool_calls: list[CalledTool] | None = Field(None, description="What the client is to call, and to ask again with.")


class Choice(BaseModel):
    index: Literal[0]
    message: AnswerMessage
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter"]


class Completion(BaseModel):
    id: str = Field(description="Id of the run.")
    object: Literal["chat.completion"]
    created: int = Field(description="Seconds since the epoch.")
    model: str = Field(description="As the request wrote it.")
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
