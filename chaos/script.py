"""The output of an agent, known in advance: the worker and the checker make equal steps from a seed and a shape.

This file joins the text itself and does not use the service's `FlatText`: the checker must not inherit its mistakes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

Step = dict[str, object]  # what a Python agent yields, or {"pause": seconds}

# Text that is hard for a parser: frames, JSON, UTF-8, line ends, blank lines between messages.
_WORDS = (
    "data: [DONE]",
    "event: error",
    "\n\n",
    "\r\n",
    "\u2028",
    '"\\',
    "日本語",
    "e\u0301",
    "👩‍👩‍👧‍👦",
    "🇪🇺",
    "\t",
    "id: 7",
    "word",
    "and",
)


@dataclass(frozen=True)
class Order:
    """What a client requests of the agents of this suite. It travels as the message; no two orders share a seed."""

    seed: int
    shape: str

    @property
    def message(self) -> str:
        return f"{self.seed} {self.shape}"

    @classmethod
    def of(cls, message: str) -> Order:
        seed, shape = message.split()
        return cls(int(seed), shape)


@dataclass(frozen=True)
class Script:
    steps: tuple[Step, ...]

    @property
    def text(self) -> str:
        """The agent's whole text: its messages, joined by blank lines."""
        messages = [""]
        for step in self.steps:
            if "message" in step:
                messages.append("")
            messages[-1] += str(step.get("delta", ""))
        return "\n\n".join(filter(None, messages))

    @property
    def fails(self) -> bool:
        return any("error" in step for step in self.steps)


def script(order: Order) -> Script:
    if order.shape in ("shell", "stays"):  # `shell_agent.sh` prints it
        return Script(({"delta": f"one {order.seed}\n"}, {"delta": f"two {order.seed}\n"}))
    random = Random(order.seed)
    return Script(tuple(_steps(order, random)))


def _steps(order: Order, random: Random) -> Iterator[Step]:
    match order.shape:
        case "short":
            yield from _deltas(random, deltas=random.randint(1, 12), pause=0.02)
        case "chatty":
            yield from _deltas(random, deltas=random.randint(20, 70), pause=0.012)
        case "late":  # silent for a while, in which another worker may take the run over
            yield {"pause": random.uniform(0.3, 1.8)}
            yield from _deltas(random, deltas=random.randint(1, 12), pause=0.03)
        case "lasting":
            yield from _deltas(random, deltas=random.randint(30, 60), pause=0.12)
        case "large":
            yield from _deltas(random, deltas=random.randint(300, 600), pause=0.004, size=3_000)
        case "failing":
            yield from _deltas(random, deltas=random.randint(0, 6), pause=0.02)
            yield {"error": {"message": f"failure {order.seed}"}}
        case "abandoned":  # far longer than its client reads it
            yield {"delta": f"{order.seed} "}
            yield {"pause": 45.0}
        case "mute":
            yield {"pause": random.uniform(0.0, 0.1)}
        case other:
            raise ValueError(f"no shape {other!r}")


def _deltas(random: Random, *, deltas: int, pause: float, size: int = 0) -> Iterator[Step]:
    for number in range(deltas):
        if random.random() < 0.08:
            yield {"message": True}
        if random.random() < 0.06:
            yield from _tool(number)
        padding = "x" * random.randint(size // 2, size) if size else ""
        yield {"delta": f"{number}:{random.choice(_WORDS)}{padding} "}
        yield {"pause": random.uniform(0, pause)}
    yield {"stream": "usage", "data": {"promptTokens": deltas, "completionTokens": 1, "totalTokens": deltas + 1}}


def _tool(number: int) -> Iterator[Step]:
    called = {"name": "look", "toolCallId": str(number)}
    yield {"stream": "tool", "data": {"phase": "start", "args": {"at": number}, **called}}
    yield {"stream": "tool", "data": {"phase": "result", "result": "seen", **called}}
