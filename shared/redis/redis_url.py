"""The address of a Redis, as an operator writes it: `REDIS_URL` and `EVENTS_REDIS_URL`. Pure.

redis-py parses the options of a URL. This file decides what it would pass over: it takes a database that is no number
for 0, and knows neither `valkey://` nor Sentinel.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

SENTINEL_PORT = 26_379
FORMS = "redis://, rediss://, valkey://, valkeys://, unix:// or redis+sentinel://"

_PLAIN = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss", "unix": "unix"}
_SENTINEL = {"redis+sentinel": "redis", "rediss+sentinel": "rediss", "valkey+sentinel": "redis"}


@dataclass(frozen=True)
class RedisAddress:
    """`url` is one that redis-py parses whole; with sentinels its host is a placeholder."""

    url: str
    sentinels: tuple[tuple[str, int], ...] = ()
    service: str = ""  # the primary's name among the sentinels
    sentinel_username: str = ""
    sentinel_password: str = ""


def parse_redis_url(url: str) -> RedisAddress:
    """Raises ValueError, whose text says what is wrong and shows no part of the URL: it may hold a password."""
    parts = urlsplit(url)
    if parts.scheme in _SENTINEL:
        return _sentinel(url)
    if parts.scheme not in _PLAIN or not (parts.hostname or parts.path):
        raise ValueError(f"must be {FORMS} with a host or a path")
    _ = parts.port  # a port that is no number raises ValueError here
    if parts.scheme == "unix":
        if not parts.path.strip("/") or parts.hostname:
            raise ValueError("must name a socket by its whole path, such as unix:///run/redis.sock?db=0")
    elif not _is_database(parts.path):
        raise ValueError("the path must be the number of a database, such as /0")
    return RedisAddress(url.replace(parts.scheme, _PLAIN[parts.scheme], 1))


def _sentinel(url: str) -> RedisAddress:
    scheme, _, rest = url.partition("://")
    place, _, query = rest.partition("?")
    hosts, _, path = place.partition("/")
    user, at, hosts = hosts.rpartition("@")
    service, _, database = path.partition("/")
    if not service or not hosts or not _is_database(f"/{database}"):
        raise ValueError(
            "must be redis+sentinel://host1,host2/service, with /0 or another database behind it if need be"
        )
    options = [option.partition("=") for option in query.split("&") if option]
    own = {name: unquote(value) for name, _, value in options if name in ("sentinel_username", "sentinel_password")}
    kept = "&".join("".join(option) for option in options if option[0] not in own)
    return RedisAddress(
        f"{_SENTINEL[scheme]}://{user}{at}sentinel/{database}" + (f"?{kept}" if kept else ""),
        tuple(_host(host) for host in hosts.split(",")),
        unquote(service),
        **own,
    )


def _host(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("a sentinel has no host")
    return parts.hostname, parts.port or SENTINEL_PORT


def _is_database(path: str) -> bool:
    number = path.strip("/")
    return not number or (number.isascii() and number.isdecimal() and len(number) < 6)


def shown(url: str) -> str:
    """The URL for an operator: without a user, a password or options."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"
