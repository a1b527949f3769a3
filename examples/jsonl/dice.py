"""A command that speaks JSON lines: text, a tool call, a second message, token counts."""

import json
import random
import sys


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


asked = json.loads(sys.stdin.readline())  # input = "json"
say(delta=f"You said {asked['message']!r}. Let me roll.")
say(stream="tool", data={"phase": "start", "name": "roll", "toolCallId": "1", "args": {"sides": 6}})
rolled = random.randint(1, 6)  # noqa: S311 - a die, not a key
say(stream="tool", data={"phase": "result", "name": "roll", "toolCallId": "1", "result": rolled})
say(message=True)
say(delta=f"It is a {rolled}.")
say(stream="usage", data={"promptTokens": 12, "completionTokens": 9, "totalTokens": 21})
