"""A stand-in for Claude Code: it prints that CLI's lines, and misbehaves as its prompt says.

A prompt ends with a line of JSON: the question's id, the kind of misbehaviour, and a seed. The answer to a question begins
and ends with its id, and names the questions that the conversation held before. `python -S stand_in.py cold|warm
[--resume ID]`: `cold` reads one prompt from stdin, `warm` one line of JSON for each turn.
"""

import json
import os
import random
import re
import select
import sys
import time
from pathlib import Path

QUESTION = re.compile(r'\{"ask": "(\w+)", "kind": "(\w+)", "seed": (\d+)\}')
PATIENCE = 0.3  # seconds, of the agents that this stand-in serves
LONG = 17_000_000  # characters of a line that no worker reads


def raw(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def say(**line: object) -> None:
    raw(json.dumps(line) + "\n")


def event(**fields: object) -> None:
    say(type="stream_event", event=fields)


class StandIn:
    def __init__(self, *, warm: bool, resume: str) -> None:
        self.warm = warm
        self.id = resume or os.urandom(8).hex()
        self.resumes = bool(resume)
        self.knows: list[str] = []
        self.messages = 0
        self.dice = random.Random()
        self.stamps = os.getpid() % 8 != 0  # otherwise it is an older release
        self.wake_at = 0.0  # when the CLI begins a turn by itself; 0: never

    # --- what it prints -----------------------------------------------------------------------------------------------

    def init(self) -> None:
        say(type="system", subtype="init", session_id=self.id)

    def begin(self) -> str:
        self.messages += 1
        name = f"msg_{self.messages}"
        event(type="message_start", message={"id": name})
        event(type="content_block_start")
        return name

    def piece(self, text: str) -> None:
        event(type="content_block_delta", delta={"type": "text_delta", "text": text})

    def whole(self, name: str, *parts: object) -> None:
        say(type="assistant", message={"id": name, "model": "m", "content": list(parts)})

    def message(self, text: str) -> None:
        """A message in pieces, and as a whole."""
        name = self.begin()
        cut = self.dice.randrange(len(text) + 1)
        for part in (text[:cut], text[cut:]):
            self.piece(part)
        self.whole(name, {"type": "text", "text": text})
        event(type="message_delta", delta={"stop_reason": "end_turn"})

    def tool(self, result: str, call: str = "t1") -> None:
        self.whole(f"tool_{call}", {"type": "tool_use", "id": call, "name": "Bash", "input": {}})
        content = [{"type": "tool_result", "tool_use_id": call, "content": result}]
        say(type="user", message={"role": "user", "content": content})

    def result(self, text: str, **more: object) -> None:
        say(type="result", subtype="success", is_error=False, result=text, terminal_reason="completed", **more)

    def task(self, *, begins: bool) -> None:
        if begins:
            say(type="system", subtype="task_started", task_id="b1", is_backgrounded=True)
        else:
            say(type="system", subtype="task_notification", task_id="b1", status="completed")

    # --- turns --------------------------------------------------------------------------------------------------------

    def turn(self, prompt: str, stamp: str) -> None:
        asked = QUESTION.findall(prompt)
        question, kind, seed = asked[-1]
        self.knows += [name for name, _, _ in asked[:-1]]
        self.dice = random.Random(int(seed))
        if stamp and self.stamps:
            say(type="command_lifecycle", command_uuid=stamp, state="started")
        self.init()
        answer = f"<{question}>{'.' * self.dice.randrange(200)}knows:{','.join(self.knows)}</{question}>"
        self.knows.append(question)
        getattr(self, f"do_{kind}")(answer)
        if stamp and self.stamps:
            say(type="command_lifecycle", command_uuid=stamp, state="completed")

    def do_plain(self, answer: str) -> None:
        self.message(answer)
        self.result(answer)

    def do_background(self, answer: str) -> None:
        self.task(begins=True)
        self.message("I wait.")
        self.result("I wait.")
        time.sleep(self.dice.random() * 2 * PATIENCE)
        self.task(begins=False)
        self.init()
        self.message(answer)
        self.result(answer, origin={"kind": "task-notification"})

    def do_background_dies(self, answer: str) -> None:
        """It ends in the turn that would have told the answer."""
        self.task(begins=True)
        self.message("I wait.")
        self.result("I wait.")
        self.task(begins=False)
        self.init()
        self.begin()
        self.piece(answer[:5])
        sys.exit(0)

    def do_wakes(self, answer: str) -> None:
        """It begins a turn by itself, soon after this one or just when the next prompt comes."""
        self.do_plain(answer)
        self.wake_at = time.monotonic() + (self.dice.random() * 0.05 if self.dice.random() < 0.5 else 3_600)

    def do_final_only(self, answer: str) -> None:
        self.message("Let me count them.")
        self.tool("3")
        self.result(answer)

    def do_broken_off(self, answer: str) -> None:
        for _ in range(self.dice.randrange(1, 3)):
            self.begin()
            self.piece(answer[: self.dice.randrange(1, len(answer))])
        self.do_plain(answer)

    def do_broken_off_last(self, answer: str) -> None:
        self.begin()
        self.piece(answer[:-3])
        self.result(answer)

    def do_chatter(self, answer: str) -> None:
        for call in range(self.dice.randrange(30, 60)):
            self.tool("x" * 20_000, f"t{call}")
        self.do_plain(answer)

    def do_long_line(self, answer: str) -> None:
        self.tool("x" * LONG)
        self.do_plain(answer)

    def do_long_answer(self, answer: str) -> None:
        self.whole("m", {"type": "text", "text": answer + "x" * LONG})
        self.result("")

    def do_stays(self, answer: str) -> None:
        self.do_plain(answer)
        if not self.warm:
            time.sleep(60)

    def do_dirt(self, answer: str) -> None:
        raw("\x1b]0;a title\x07Working... ")
        self.message(answer)
        raw("\x1b[2K\r\x1b[32m* ")
        self.result(answer)

    def do_damaged_piece(self, answer: str) -> None:
        name = self.begin()
        self.piece(answer[:4])
        raw('{"type": "stream_event", "event": {"type": "content_block_de\n')
        self.piece(answer[8:])
        self.whole(name, {"type": "text", "text": answer})
        self.result(answer)

    def do_damaged_answer(self, answer: str) -> None:
        raw('{"type": "assistant", "message": {"id": "m", "content": [{"type": "te\n')
        self.result("")

    def do_silent(self, answer: str) -> None:
        self.begin()
        self.piece(answer[:4])
        time.sleep(60)

    def do_limit(self, answer: str) -> None:
        words = "You've hit your weekly limit · resets 3pm (UTC)"
        say(type="assistant", message={"id": "n", "model": "<synthetic>", "content": [{"type": "text", "text": words}]})
        self.result(words)

    def do_notice(self, answer: str) -> None:
        words = "No response requested."
        say(type="assistant", message={"id": "n", "model": "<synthetic>", "content": [{"type": "text", "text": words}]})
        self.result(words)

    def do_dies(self, answer: str) -> None:
        self.begin()
        self.piece(answer[: self.dice.randrange(len(answer))])
        os.kill(os.getpid(), 9) if self.dice.random() < 0.3 else os._exit(self.dice.choice([0, 0, 1, 3]))

    def do_hangs(self, answer: str) -> None:
        """Its client leaves."""
        self.begin()
        self.piece(answer[:4])
        time.sleep(60)

    # --- the process --------------------------------------------------------------------------------------------------

    def run_cold(self) -> None:
        file = Path(f".conversation-{self.id}")
        if self.resumes:
            if not file.exists():
                sys.exit(1)
            self.knows = json.loads(file.read_text())
        prompt = sys.stdin.read()
        self.turn(prompt, "")
        file.write_text(json.dumps(self.knows))

    def run_warm(self) -> None:
        buffer = b""
        while True:
            while b"\n" not in buffer:
                wait = max(0.0, self.wake_at - time.monotonic()) if self.wake_at else None
                if not select.select([0], [], [], wait)[0]:
                    self.wake()
                    continue
                chunk = os.read(0, 65_536)
                if not chunk:
                    return
                buffer += chunk
            line, _, buffer = buffer.partition(b"\n")
            given = json.loads(line)
            if self.wake_at:  # the prompt came while the CLI was about to begin by itself
                self.wake()
            self.turn(given["message"]["content"], given["uuid"])

    def wake(self) -> None:
        """A turn that nobody asked for."""
        self.wake_at = 0.0
        self.init()
        self.message("<self>Nobody asked.</self>")
        time.sleep(self.dice.random() * 0.03)
        self.result("<self>Nobody asked.</self>", origin={"kind": "task-notification"})


def main(mode: str, *options: str) -> None:
    resume = options[1] if options[:1] == ("--resume",) else ""
    stand_in = StandIn(warm=mode == "warm", resume=resume)
    stand_in.run_warm() if mode == "warm" else stand_in.run_cold()


if __name__ == "__main__":
    main(*sys.argv[1:])
