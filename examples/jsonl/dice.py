"""A command that prints JSON lines: text, a tool call, a second message, token counts."""

import json
import random
import sys


def emit(**event: object) -> None:
    print(json.dumps(event), flush=True)


request = json.loads(sys.stdin.readline())  # input = "json"
emit(delta=f"You said {request['message']!r}. Let me roll.")
emit(stream="tool", data={"phase": "start", "name": "roll", "toolCallId": "1", "args": {"sides": 6}})
rolled = random.randint(1, 6)  # noqa: S311 - a die, not a key
emit(stream="tool", data={"phase": "result", "name": "roll", "toolCallId": "1", "result": rolled})
emit(message=True)
emit(delta=f"It is a {rolled}.")
emit(stream="usage", data={"promptTokens": 12, "completionTokens": 9, "totalTokens": 21})
