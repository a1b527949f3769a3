"""What is wrong with a Redis for good, found out when a process starts: no retry helps, so the process says it and
ends.

A Redis that is away, loads its data or is full may be there a moment later: a process starts without it, and waits.
"""

from __future__ import annotations

import anyio
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, InvalidResponse, RedisError, ResponseError

from shared.redis.client import open_redis
from shared.redis.redis_url import shown
from shared.run.errors import SettingsError

CHECK_SECONDS = 3.0


async def check_redis(**urls: str | None) -> None:
    """Raises SettingsError, with one line. `urls` maps the name of a setting to its value; None is one that is not
    set."""
    for setting, url in urls.items():
        if url is None:
            continue
        async with open_redis(url) as redis:
            with anyio.move_on_after(CHECK_SECONDS):
                if why := await permanent_fault(redis):
                    raise SettingsError(f"{setting}: {shown(url)} {why}")


async def permanent_fault(redis: Redis) -> str:
    """What an operator has to change, or an empty text."""
    try:
        await redis.ping()
        hello = await redis.execute_command("HELLO")  # type: ignore[no-untyped-call]
    except AuthenticationError:
        return "refuses the password, or wants one: correct the user and the password in the URL"
    except ResponseError as refused:
        return _database_fault(str(refused))
    except InvalidResponse:
        return "is no Redis: something else answers there, correct the host and the port"
    except (RedisError, OSError):
        return ""  # away, for now
    return _cluster_fault(hello)


async def answers(url: str) -> bool:
    """Whether Redis answers now, if only with a refusal."""
    with anyio.move_on_after(CHECK_SECONDS):
        async with open_redis(url) as redis:
            try:
                await redis.ping()
            except (AuthenticationError, InvalidResponse, ResponseError):
                return True
            except (RedisError, OSError):
                return False
            return True
    return False


def _database_fault(refusal: str) -> str:
    if "DB index" in refusal or "SELECT is not allowed" in refusal:
        return "has no database of this number: correct the path of the URL"
    return ""


def _cluster_fault(hello: object) -> str:
    """HELLO answers names and values in turn, or a mapping; any user may send it."""
    facts = dict(zip(hello[::2], hello[1::2], strict=False)) if isinstance(hello, list) else hello
    if isinstance(facts, dict) and facts.get(b"mode") == b"cluster":
        return "is a node of a cluster: runrelay needs a single primary, with replicas and Sentinel if need be"
    return ""
