"""A CLI with the protocol of Claude Code. It answers with its own state; the last word of a prompt may order
otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time


def say(**it: object) -> None:
    print(json.dumps(it), flush=True)


def answer(text: str, name: str) -> None:
    say(type="assistant", message={"id": name, "content": [{"type": "text", "text": text}]})
    say(type="result", subtype="success", is_error=False, result=text)


def main() -> None:
    prompts: list[str] = []
    for line in sys.stdin:
        given = json.loads(line)
        prompts.append(given["message"]["content"])
        say(type="user", isReplay=True, uuid=given["uuid"], message=given["message"])
        knows = {"pid": os.getpid(), "folder": os.getcwd(), "prompts": prompts, "variables": dict(os.environ)}  # noqa: PTH109
        match prompts[-1].split()[-1]:
            case "hang":
                say(type="assistant", message={"id": "h", "content": [{"type": "text", "text": str(os.getpid())}]})
                time.sleep(600)
            case "fail":
                say(type="result", subtype="success", is_error=True, result="No credit.")
            case "spin":
                while True:
                    pass
            case "exit":
                print("out of order", file=sys.stderr)
                sys.exit(3)
            case "/clear":
                answer("Cleared.", "c") if sys.stdin.read() == "" else None
            case "wake":
                answer(json.dumps(knows), f"m{len(prompts)}")
                answer("Nobody asked.", "w")
            case "write":
                with open("note.txt", "w") as note:  # noqa: PTH123
                    note.write("from the agent")
                answer(json.dumps(knows), f"m{len(prompts)}")
            case "spawn":
                child = subprocess.Popen(["sleep", "600"], start_new_session=True, stdout=subprocess.DEVNULL)
                answer(json.dumps({**knows, "pid": child.pid}), f"m{len(prompts)}")
            case _:
                answer(json.dumps(knows), f"m{len(prompts)}")


if __name__ == "__main__":
    main()
