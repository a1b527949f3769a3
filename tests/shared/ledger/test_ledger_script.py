from __future__ import annotations

import re
from importlib.resources import files
from itertools import product

import pytest
from redis.asyncio import Redis

from shared.ledger.ledger_script import COMMON, ledger_script
from shared.log.log_script import log_script
from shared.redis.keys import Keys
from shared.redis.lua_script import LuaScript
from shared.redis.pipe import Pipe
from shared.run.states import MOVES, State
from tests.broker import KEYS


def read_all(package: str) -> dict[str, str]:
    return {file.name.removesuffix(".lua"): file.read_text() for file in (files(package) / "scripts").iterdir()}


SCRIPTS = read_all("shared.ledger")
LEDGER = SCRIPTS.keys() - {*COMMON}
LOG = read_all("shared.log").keys() - {"log"}


def of_the_ledger(body: str, names: Keys = KEYS) -> LuaScript:
    """A made-up script behind the common part of every ledger script."""
    some = next(iter(LEDGER))
    return LuaScript(ledger_script(some, names).text.removesuffix(SCRIPTS[some]) + body)


@pytest.mark.parametrize("name", sorted(LEDGER | LOG))
async def test_every_script_compiles(redis: Redis, name: str) -> None:
    script = log_script(name) if name in LOG else ledger_script(name, KEYS)
    assert await redis.script_load(script.text) == script.sha


@pytest.mark.parametrize("name", sorted(LEDGER | LOG))
def test_no_function_is_called_before_its_definition(name: str) -> None:
    """Lua would look for a global of that name when the call comes, and Redis would end the script."""
    script = log_script(name) if name in LOG else ledger_script(name, KEYS)
    code = re.sub(r"--[^\n]*|'[^'\n]*'|\"[^\"\n]*\"|\.\w+", "", script.text)  # without comments, texts and fields
    for definition in re.finditer(r"local function (\w+)", code):
        assert not re.search(rf"\b{definition[1]}\b", code[: definition.start()]), definition[1]


@pytest.mark.parametrize(("state", "to"), list(product(State, State)))
async def test_no_script_makes_a_move_that_is_not_in_the_table(pipe: Pipe, state: State, to: State) -> None:
    await pipe.command("HSET", KEYS.run("r"), "state", state.value)
    await pipe.command("PEXPIRE", KEYS.run("r"), 60_000)
    moved = await pipe.run(of_the_ledger("return move(ARGV[1], ARGV[2]) or ''"), args=("r", to.value))
    legal = to in MOVES[state]
    assert moved == (state.value.encode() if legal else b"")
    now = await pipe.command("HGET", KEYS.run("r"), "state")
    assert now == (to if legal else state).value.encode()


async def test_a_run_that_is_not_there_goes_nowhere(pipe: Pipe) -> None:
    assert await pipe.run(of_the_ledger("return move(ARGV[1], ARGV[2]) or ''"), args=("r", "queued")) == b""
    assert await pipe.command("DBSIZE") == 0


async def test_scores_keep_microseconds_and_times_are_whole(pipe: Pipe) -> None:
    """Lua shows fewer digits of a double by default, and writes large numbers as 1.7e+12."""
    body = "return {score(1234567890123.456), whole(1234567890123.999)}"
    assert await pipe.run(of_the_ledger(body)) == [b"1234567890123.456", b"1234567890123"]


async def test_the_clock_is_that_of_redis(pipe: Pipe) -> None:
    before = await pipe.command("TIME")
    clock = await pipe.run(of_the_ledger("return score(wall)"))
    after = await pipe.command("TIME")

    def ms(time: object) -> float:
        assert isinstance(time, tuple | list)
        return int(time[0]) * 1000 + int(time[1]) / 1000

    assert isinstance(clock, bytes)
    assert ms(before) <= float(clock) + 0.001
    assert float(clock) <= ms(after) + 0.001


@pytest.mark.parametrize("namespace", ["a", "a-B_9", 'odd "name"', "back\\slash"])
async def test_scripts_and_python_spell_the_same_names(pipe: Pipe, namespace: str) -> None:
    names = Keys(namespace)
    for name, prefix in names.prefixes().items():
        assert await pipe.run(of_the_ledger(f"return KEY.{name}", names)) == prefix.encode()
