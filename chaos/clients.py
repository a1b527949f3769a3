"""Clients. Each has one request, and behaves as clients do: it comes back when its connection was cut, posts again when
it got no answer, reads slowly, leaves, cancels, or posts twice at the same time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Coroutine
from contextlib import contextmanager
from random import Random
from typing import Any

import anyio
import httpx

from chaos.commands import LOOK_SECONDS, ms_until_gone, processes
from chaos.history import ClientRequest, Piece, Reading, outcome_of
from chaos.script import Order
from chaos.web import CutError, SilentError, Web, error_code, frames
from shared.run.clock import now_ms

CHAT, RUNS = "/v1/chat/completions", "/v1/runs"
AGAIN_SECONDS = 0.3  # before a client tries again; half to one and a half of it
NOT_ENDED = ("server_restarting",)  # the run goes on; only this stream has ended
NOT_TAKEN = (429, 503)
GIVEN_UP = ("unreadable", "run_not_found")  # the service says that trying again is of no use


class LeftError(Exception):
    """The client leaves of its own accord."""


class Client:
    """One client with one request. `request` also holds what the checker has to know of the client."""

    def __init__(self, web: Web, random: Random, request: ClientRequest) -> None:
        self.request = request
        self._web = web
        self._random = random
        self._posts = 0

    # --- requests -----------------------------------------------------------------------------------------------------

    def _headers(self) -> dict[str, str]:
        """The SDKs' count of retries, and the idempotency key if the request has one."""
        headers = {"x-stainless-retry-count": str(self._posts)}
        self._posts += 1
        return headers | ({"Idempotency-Key": f"key {self.request.order.seed}"} if self.request.keyed else {})

    def _chat(self, *, stream: bool) -> dict[str, object]:
        request = self.request
        message = {"role": "user", "content": request.order.message}
        return {"model": f"clawdbot:{request.agent}", "messages": [message], "stream": stream}

    async def submit(self) -> Reading:
        """Posts a background run until it is accepted."""
        request, reading = self.request, self.reading()
        body = {"agent": request.agent, "input": request.order.message, "session": request.session}
        body = {name: value for name, value in body.items() if value is not None}
        while not reading.run_id and reading.outcome == "hung":
            with self._patient(reading):
                async with self._web.request("POST", RUNS, body=body, headers=self._headers()) as answer:
                    if answer.status_code == 202:
                        reading.run_id = json.loads(await answer.aread())["id"]
                    else:
                        await self._refused(answer, reading)
            if not reading.run_id:
                await self._pause()
        return reading

    def reading(self) -> Reading:
        reading = Reading(self.request.order.seed)
        self.request.readings.append(reading)
        return reading

    async def cancel(self, run_id: str) -> None:
        """Posts the cancel until the service has accepted it."""
        self.request.cancelled = True
        reading, accepted = self.request.readings[0], not run_id
        while not accepted and reading.outcome not in GIVEN_UP:
            with self._patient(reading):
                async with self._web.request("POST", f"{RUNS}/{run_id}/cancel") as answer:
                    accepted = answer.status_code in (200, 202)
                    if not accepted:
                        await self._refused(answer, reading)
            if not accepted:
                await self._pause()

    # --- reading ------------------------------------------------------------------------------------------------------

    async def read(
        self, reading: Reading, *ways: str, pace: float = 0.0, leaves: Callable[[Piece], bool] = lambda _: False
    ) -> None:
        """Reads until the run's end, by one of `ways` at a time. When the connection is cut, it chooses a way again."""
        away = time.monotonic()
        while reading.outcome == "hung":
            known = ways if reading.run_id else [way for way in ways if way in ("chat", "whole")]
            piece = self._piece(self._random.choice(known), reading)
            with self._patient(reading):
                async with self._opened(piece, reading) as answer:
                    self.request.left_for = max(self.request.left_for, time.monotonic() - away)
                    await self._take(piece, reading, answer, pace, leaves)
            away = time.monotonic()
            if piece.end is not None and piece.end not in NOT_ENDED:
                reading.outcome = piece.end
            else:
                await self._pause()

    def _piece(self, way: str, reading: Reading) -> Piece:
        """A new piece. Where the way can resume, it continues the reader's last piece of that way."""
        for earlier in reversed(reading.pieces):
            if earlier.seqs and way == earlier.way and way in ("resumed", "events"):
                piece = Piece(way, text=earlier.text, after=earlier.seqs[-1])
                break
        else:
            piece = Piece(way)
        reading.pieces.append(piece)
        return piece

    def _opened(self, piece: Piece, reading: Reading) -> Any:
        match piece.way:
            case "chat" | "whole" as way:
                return self._web.request("POST", CHAT, body=self._chat(stream=way == "chat"), headers=self._headers())
            case "resumed":
                return self._web.request("GET", f"{CHAT}/{reading.run_id}?stream=true&starting_after={piece.after}")
            case "fetched":
                return self._web.request("GET", f"{CHAT}/{reading.run_id}")
            case "wait":
                return self._web.request("GET", f"{RUNS}/{reading.run_id}/wait?timeout=5")
            case _:
                headers = {"Last-Event-ID": str(piece.after)} if piece.after else None
                return self._web.request("GET", f"{RUNS}/{reading.run_id}/events", headers=headers)

    async def _take(
        self,
        piece: Piece,
        reading: Reading,
        answer: httpx.Response,
        pace: float,
        leaves: Callable[[Piece], bool],
    ) -> None:
        self._learn(answer.headers.get("x-run-id", ""), reading)
        if answer.status_code == 204 and piece.way == "events":
            piece.end = _earlier_end(reading)
        elif answer.status_code != 200:
            await self._refused(answer, reading, piece)
        elif piece.way in ("whole", "fetched"):
            completion = json.loads(await answer.aread())
            self._learn(completion["id"], reading)
            piece.text, piece.end = completion["choices"][0]["message"]["content"], "stop"
        elif piece.way == "wait":
            _view(json.loads(await answer.aread()), piece)
        else:
            take = _event if piece.way == "events" else _chunk
            async for frame in frames(answer, pace=pace):
                if take(frame, piece, reading):
                    return
                if leaves(piece):
                    raise LeftError
            if piece.end is None:
                reading.faults.append(f"{piece.way}: the stream ended without saying how")

    def _learn(self, run_id: str, reading: Reading) -> None:
        if run_id and reading.run_id and run_id != reading.run_id:
            reading.faults.append(f"one request became two runs: {reading.run_id} and {run_id}")
        reading.run_id = reading.run_id or run_id

    async def _refused(self, answer: httpx.Response, reading: Reading, piece: Piece | None = None) -> None:
        code = await error_code(answer)
        if piece is None:
            self._learn(answer.headers.get("x-run-id", ""), reading)
        if "x-run-id" in answer.headers and piece is not None:
            piece.end = code
        elif code == "unreadable":
            reading.outcome = code
        elif answer.status_code not in NOT_TAKEN:
            reading.faults.append(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {code}")
            if code == "run_not_found":
                reading.outcome = code

    @contextmanager
    def _patient(self, reading: Reading) -> Any:
        """Ignores a cut connection, which is what the faults cause. A silent connection is a fault of the service."""
        try:
            yield
        except SilentError as silence:
            reading.faults.append(str(silence))
        except CutError:
            pass

    async def _pause(self) -> None:
        await anyio.sleep(AGAIN_SECONDS * self._random.uniform(0.5, 1.5))


def _earlier_end(reading: Reading) -> str:
    return next((piece.end for piece in reading.pieces if piece.end), "stop")


def _chunk(frame: str, piece: Piece, reading: Reading) -> bool:
    """Adds a chat chunk. Returns whether it was the last frame."""
    if not frame.startswith("data: ") or "\n" in frame:
        reading.faults.append(f"{piece.way}: a frame that OpenAI clients do not understand: {frame[:80]!r}")
        return False
    if frame == "data: [DONE]":
        if piece.end is None:
            reading.faults.append(f"{piece.way}: [DONE] without an end")
        return True
    chunk = json.loads(frame.removeprefix("data: "))
    if "error" in chunk:
        piece.end = chunk["error"]["code"]
        return False
    if piece.way == "resumed":
        piece.seqs.append(chunk["seq"])
    for choice in chunk["choices"]:
        piece.text += choice["delta"].get("content", "")
        piece.end = choice["finish_reason"]
    return False


def _event(frame: str, piece: Piece, reading: Reading) -> bool:
    """Adds an event of the run. Returns whether it was the last."""
    fields = dict(line.split(": ", 1) for line in frame.split("\n"))
    if fields["event"] == "error":
        piece.end = json.loads(fields["data"])["error"]["code"]
        return True
    seq = int(fields["id"])
    piece.seqs.append(seq)
    piece.raw[seq] = fields["data"]
    piece.arrivals.append((seq, now_ms()))
    if fields["event"] != "lifecycle":
        return False
    data = json.loads(fields["data"])["data"]
    piece.end = outcome_of(data["phase"], data.get("code"))
    return piece.end is not None


def _view(view: dict[str, Any], piece: Piece) -> None:
    piece.text = view["text"]
    piece.end = {"completed": "stop", "cancelled": "cancelled"}.get(view["state"])
    if view["state"] == "failed":
        piece.end = view["error"]["code"]


# --- what clients are like --------------------------------------------------------------------------------------------

SHAPES = ("short", "short", "short", "chatty", "chatty", "late", "late", "lasting", "failing", "mute")
AGENTS = ("main", "main", "never", "again")


async def _streams(client: Client, random: Random) -> None:
    await client.read(client.reading(), "chat", "resumed")


async def _asks_for_all(client: Client, random: Random) -> None:
    await client.read(client.reading(), "whole", "fetched")


async def _follows(client: Client, random: Random) -> None:
    await client.read(await client.submit(), "events")


async def _waits(client: Client, random: Random) -> None:
    await client.read(await client.submit(), "wait")


async def _leaves_and_returns(client: Client, random: Random) -> None:
    reading, enough = client.reading(), random.randint(0, 200)
    try:
        await client.read(reading, "chat", leaves=lambda piece: len(piece.text) >= enough)
    except LeftError:
        left = time.monotonic()
        await anyio.sleep(random.uniform(0, 3))
        client.request.left_for = max(client.request.left_for, time.monotonic() - left)
        await client.read(reading, random.choice(("chat", "resumed", "events", "fetched")))


async def _leaves_for_good(client: Client, random: Random) -> None:
    client.request.left_for = float("inf")
    reading = client.reading()
    try:
        await client.read(reading, "chat", "resumed", leaves=lambda piece: bool(piece.text))
    except LeftError:
        reading.outcome = "left"


async def _asks_twice(client: Client, random: Random) -> None:
    async with anyio.create_task_group() as both:
        for _ in range(2):
            both.start_soon(client.read, client.reading(), random.choice(("chat", "whole")))
            await anyio.sleep(random.choice((0.0, 0.05, 0.5)))


async def _reads_slowly(client: Client, random: Random) -> None:
    await client.read(await client.submit(), "events", "resumed", pace=random.uniform(0.005, 0.03))


async def _cancels(client: Client, random: Random) -> None:
    reading = await client.submit()
    async with anyio.create_task_group() as both:
        both.start_soon(client.read, reading, "events")
        await anyio.sleep(random.choice((0.0, 0.05, 0.3, 1.0)) * random.uniform(0.5, 1.5))
        await client.cancel(reading.run_id)


async def _cancels_a_command(client: Client, random: Random) -> None:
    """Cancels the command once it runs, and measures the time until its last process is gone."""
    reading = await client.submit()
    async with anyio.create_task_group() as both:
        both.start_soon(client.read, reading, "events")
        while not processes(reading.run_id) and reading.outcome == "hung":
            await anyio.sleep(LOOK_SECONDS)
        if reading.outcome == "hung":
            both.start_soon(client.cancel, reading.run_id)
            client.request.gone_after = await ms_until_gone(reading.run_id)


Behaviour = Callable[[Client, Random], Coroutine[Any, Any, None]]

# Weight; whether requests have a key (None: some have); shapes; agents.
BEHAVIOURS: dict[str, tuple[int, Behaviour, bool | None, tuple[str, ...], tuple[str, ...]]] = {
    "streams": (24, _streams, None, SHAPES, AGENTS),
    "asks for all": (10, _asks_for_all, None, SHAPES, AGENTS),
    "follows": (22, _follows, True, SHAPES, AGENTS),
    "waits": (6, _waits, True, SHAPES, AGENTS),
    "leaves and returns": (12, _leaves_and_returns, None, ("chatty", "lasting"), AGENTS),
    "leaves for good": (1, _leaves_for_good, False, ("abandoned",), ("main",)),
    "asks twice": (7, _asks_twice, True, SHAPES, AGENTS),
    "reads slowly": (2, _reads_slowly, True, ("large",), ("main",)),
    "cancels": (10, _cancels, True, ("chatty", "late", "lasting"), AGENTS),
    "runs a command": (3, _follows, True, ("shell",), ("shell",)),
    "cancels a command": (1, _cancels_a_command, True, ("stays",), ("shell",)),
    "has a session": (3, _streams, True, (), AGENTS),  # several runs, see `_session`
}


class ClientPool:
    """Makes clients, each from the round's seed and its own number. `requests` collects the requests of all."""

    def __init__(
        self,
        web: Web,
        seed: int,
        *,
        patience: float,
        behaviours: Collection[str] = (),
        agents: tuple[str, ...] = (),
    ) -> None:
        """`patience`: a client that has no end after so many seconds is hung. `behaviours` and `agents` restrict the
        choice; empty: no restriction.
        """
        self._weights = {name: row[0] for name, row in BEHAVIOURS.items() if name in behaviours or not behaviours}
        self._agents = agents
        self._web = web
        self._seed = seed
        self._patience = patience
        self.requests: list[ClientRequest] = []

    async def run_client(self, number: int) -> None:
        """Runs one client, from its first request to its last answer."""
        random = Random(f"{self._seed}/{number}")
        name = random.choices(list(self._weights), list(self._weights.values()))[0]
        with anyio.move_on_after(self._patience):
            if name == "has a session":
                await self._session(random, number)
            else:
                _, behave, keyed, shapes, agents = BEHAVIOURS[name]
                request = self._new_request(number, 0, random, shapes, agents)
                request.keyed = random.random() < 0.4 if keyed is None else keyed
                request.foreground = not request.keyed
                await behave(Client(self._web, random, request), random)

    async def run_probe(self, web: Web, number: int) -> bool:
        """Runs a client that wants one short answer from `web`. Returns whether it got it."""
        request = self._new_request(number, 0, Random(f"{self._seed}/{number}"), ("short",), ("main",))
        request.foreground = True
        client = Client(web, Random(number), request)
        reading = client.reading()
        with anyio.move_on_after(self._patience):
            await client.read(reading, "chat", "resumed")
        return reading.outcome == "stop"

    def _new_request(
        self, number: int, place: int, random: Random, shapes: tuple[str, ...], agents: tuple[str, ...]
    ) -> ClientRequest:
        seed = (self._seed * 1_000_000 + number) * 10 + place
        request = ClientRequest(Order(seed, random.choice(shapes)), random.choice(self._agents or agents), place=place)
        self.requests.append(request)
        return request

    async def _session(self, random: Random, number: int) -> None:
        """Posts several runs of one session, each when the one before was accepted, and reads all of them at once."""
        agent = random.choice(AGENTS)
        async with anyio.create_task_group() as readers:
            for place in range(random.randint(2, 5)):
                request = self._new_request(number, place, random, ("short", "late", "chatty", "failing"), (agent,))
                request.session, request.keyed = f"agent:{agent}:line-{self._seed}-{number}", True
                client = Client(self._web, random, request)
                reading = await client.submit()
                readers.start_soon(client.read, reading, "events")
                if random.random() < 0.1:
                    readers.start_soon(client.cancel, reading.run_id)
