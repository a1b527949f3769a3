"""Chat completions, as the document has them."""

from __future__ import annotations

from openapi_pydantic import DataType, Operation, PathItem, Schema

from api.chat import chat_schema
from api.openapi.parts import NUMBER, RUN_ID, answer, answers, body, header, query


def paths() -> dict[str, PathItem]:
    return {
        "/v1/chat/completions": PathItem(post=_create_completion()),
        "/v1/chat/completions/{run_id}": PathItem(get=_retrieve_completion()),
    }


_CHUNKS = (
    "The completion; with `stream`, `chat.completion.chunk` objects as `data:` lines, the last of which is `[DONE]`."
)


def _create_completion() -> Operation:
    return Operation(
        operationId="createChatCompletion",
        summary="Ask an agent, and get its answer whole or while it is made.",
        parameters=[
            header("Idempotency-Key", "A request with the same key and body gets the answer of the first."),
            header("x-clawdbot-agent-id", "The agent; counts more than `model`."),
            header("x-clawdbot-session-key", "The session, which keeps its own history; counts more than `user`."),
        ],
        requestBody=body(chat_schema.ChatRequestBody),
        responses=answers(
            {200: answer(chat_schema.Completion, _CHUNKS, stream=True)}, 400, 404, 408, 409, 413, 429, 502, 504
        ),
    )


def _retrieve_completion() -> Operation:
    return Operation(
        operationId="retrieveChatCompletion",
        summary="The answer of an earlier request, live or finished.",
        parameters=[
            RUN_ID,
            query("stream", "Send the answer while it is made.", Schema(type=DataType.BOOLEAN, default=False)),
            query("starting_after", "With `stream`: the `seq` of the last chunk that came.", NUMBER),
        ],
        responses=answers({200: answer(chat_schema.Completion, _CHUNKS, stream=True)}, 400, 404, 409, 429, 502, 504),
    )
