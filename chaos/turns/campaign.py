"""Asks the stand-in CLI questions in many sessions at once, through the whole service, and judges what clients get."""

from __future__ import annotations

import json
import random
import re
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx

from chaos.turns import stand_in
from tests.e2e.service import ALICE

AGENTS = ("cold", "resumed", "warm")
SILENT_SECONDS = 3.0

# The kinds of misbehaviour after which clients get the whole answer, and those after which their run fails, with the
# codes that it may fail with. Each comes as often as its weight.
WHOLE = {
    "plain": 10,
    "background": 4,
    "wakes": 6,
    "final_only": 4,
    "broken_off": 4,
    "broken_off_last": 3,
    "chatter": 1,
    "long_line": 0.3,
    "stays": 2,
    "dirt": 4,
    "damaged_piece": 3,
}
FAILS = {
    "background_dies": (2, {"agent_protocol_error"}),
    "long_answer": (0.2, {"output_too_large"}),
    "damaged_answer": (2, {"agent_protocol_error"}),
    "silent": (0.5, {"agent_silent"}),
    "limit": (2, {"rate_limit_exceeded"}),
    "notice": (2, {"agent_failed"}),
    "dies": (4, {"agent_protocol_error", "agent_failed"}),
    "hangs": (1, {"cancelled", "agent_silent"}),
}
KINDS = {**WHOLE, **{kind: weight for kind, (weight, _) in FAILS.items()}}

COUNTS = (
    "answers to another question",
    "cut answers that look whole",
    "turns in a transcript that no client was told",
    "told turns that a transcript lacks",
    "streams that do not end with the answer",
    "failures without a reason, or with a wrong code",
)

_ANSWER = re.compile(r"<(\w+)>\.*knows:([\w,]*)</\1>")
_BEGUN = re.compile(r"<(\w+)>")


@dataclass
class Tally:
    turns: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def breaks(self, count: str, what: str) -> None:
        self.broken[count] += 1
        self.examples.append(f"{count}: {what}")


def agents_toml() -> str:
    """Three agents of the stand-in: cold, resumed and warm."""
    command = [sys.executable, "-S", "-E", str(Path(stand_in.__file__).resolve())]
    common = f'kind = "command"\noutput = "claude"\nworkdir = "{{session}}"\npatience_seconds = {stand_in.PATIENCE}\nsilent_seconds = {SILENT_SECONDS}\n'

    def table(name: str, mode: str, more: str) -> str:
        return f"[agents.{name}]\n{common}command = {json.dumps([*command, mode])}\n{more}\n"

    return (
        table("cold", "cold", "")
        + table("resumed", "cold", 'resume = ["--resume", "{conversation}"]')
        + table("warm", "warm", "warm = { ready = 2, kept = 8 }")
    )


async def play(url: str, *, turns: int, sessions: int, seed: int) -> Tally:
    """Asks so many questions, `sessions` conversations at a time."""
    tally = Tally()
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {ALICE}"}, timeout=60) as http:

        async def client(number: int) -> None:
            mine = random.Random(f"{seed} {number}")
            while tally.turns < turns:
                await Session(http, tally, mine).play(mine.randrange(2, 14))

        async with anyio.create_task_group() as group:
            for number in range(sessions):
                group.start_soon(client, number)
    return tally


class Session:
    def __init__(self, http: httpx.AsyncClient, tally: Tally, dice: random.Random) -> None:
        self._http = http
        self._tally = tally
        self._dice = dice
        self._user = f"{dice.getrandbits(64):x}"
        self._agent = dice.choice(AGENTS)
        self._told: list[str] = []  # the questions whose answers this client got

    async def play(self, turns: int) -> None:
        for _ in range(turns):
            kind = self._dice.choices([*KINDS], [*KINDS.values()])[0]
            await self._ask(f"q{self._dice.getrandbits(48):x}", kind)
            await anyio.sleep(self._dice.random() * 0.06 if self._dice.random() < 0.7 else 0)

    async def _ask(self, question: str, kind: str) -> None:
        prompt = json.dumps({"ask": question, "kind": kind, "seed": self._dice.getrandbits(31)})
        body: dict[str, object] = {
            "model": self._agent,
            "user": self._user,
            "messages": [{"role": "user", "content": prompt}],
        }
        leaves = kind == "hangs"
        streams = leaves or self._dice.random() < 0.5
        run_id, shown, code = await (self._stream(body, leaves=leaves) if streams else self._whole(body))
        self._tally.turns += 1
        self._tally.kinds[kind] += 1
        stored = await self._ended(run_id)
        if streams and stored["state"] == "completed" and not shown.endswith(stored["text"][-40:]):
            self._tally.breaks("streams that do not end with the answer", f"{self._agent} {kind} {run_id} {shown!r}")
        code = code or (stored.get("error") or {}).get("code", "") or ("cancelled" if leaves else "")
        self._judge(question, kind, stored["text"] if stored["state"] == "completed" else None, code)

    def _judge(self, question: str, kind: str, text: str | None, code: str) -> None:
        where = f"{self._agent} {kind} {question} after {self._told}: {text!r} {code}"
        if text is None:
            if kind in WHOLE or code not in FAILS[kind][1]:
                self._tally.breaks("failures without a reason, or with a wrong code", where)
            return
        self._told.append(question)
        if set(_BEGUN.findall(text)) - {question}:
            self._tally.breaks("answers to another question", where)
        answer = _ANSWER.search(text)
        if kind in FAILS or answer is None or not text.endswith(answer[0]) or text.count(f"<{question}>") != 1:
            self._tally.breaks("cut answers that look whole", where)
            return
        known = [name for name in answer[2].split(",") if name]
        if set(known) - set(self._told):
            self._tally.breaks("turns in a transcript that no client was told", where)
        if known != self._told[:-1]:
            self._tally.breaks("told turns that a transcript lacks", where)

    async def _whole(self, body: dict[str, object]) -> tuple[str, str, str]:
        """The run's id, what the client was shown, and the code of its failure."""
        response = await self._http.post("/v1/chat/completions", json=body)
        answer, run_id = response.json(), response.headers["X-Run-Id"]
        if response.is_success:
            return run_id, answer["choices"][0]["message"]["content"], ""
        return run_id, "", answer["error"]["code"]

    async def _stream(self, body: dict[str, object], *, leaves: bool) -> tuple[str, str, str]:
        shown, code = "", ""
        async with self._http.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as response:
            run_id = response.headers["X-Run-Id"]
            async for line in response.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                chunk = json.loads(line.removeprefix("data: "))
                code = chunk.get("error", {}).get("code", code)
                for choice in chunk.get("choices", []):
                    shown += choice["delta"].get("content") or ""
                if leaves and shown:
                    break
        return run_id, shown, code

    async def _ended(self, run_id: str) -> dict[str, Any]:
        while True:
            with suppress(httpx.TransportError):
                stored: dict[str, Any] = (await self._http.get(f"/v1/runs/{run_id}/wait?timeout=30")).json()
                if stored["state"] not in ("queued", "running"):
                    return stored
