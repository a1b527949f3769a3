"""A CLI that keeps its conversations in its directory, and prints in the format of Claude Code.

It answers with all prompts of the conversation, as JSON. The tests run it with `--resume ID` or `--forget`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from uuid import uuid4


def say(kind: str, **fields: object) -> None:
    print(json.dumps({"type": kind, **fields}))


def main(arguments: list[str]) -> int:
    resumed = "--resume" in arguments
    id = arguments[arguments.index("--resume") + 1] if resumed else str(uuid4())
    file = Path(id)
    if resumed and not file.exists():
        say("result", subtype="error_during_execution", is_error=True, errors=[f"No conversation {id}"], usage={})
        return 1
    prompts = [*(json.loads(file.read_text()) if resumed else []), sys.stdin.read()]
    if "--forget" not in arguments:
        file.write_text(json.dumps(prompts))
    say("system", subtype="init", session_id=id)
    if "break" in prompts[-1]:
        say("result", subtype="error_during_execution", is_error=True, errors=["broken"])
        return 1
    say("result", subtype="success", is_error=False, result=json.dumps(prompts))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
