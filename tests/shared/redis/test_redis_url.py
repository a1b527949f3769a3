from __future__ import annotations

import pytest

from shared.redis.client import connect
from shared.redis.redis_url import RedisAddress, parse_redis_url, shown


@pytest.mark.parametrize(
    ("url", "sentinels", "service"),
    [
        ("redis+sentinel://one/main", (("one", 26379),), "main"),
        ("redis+sentinel://one:1,two:2,[::1]:3/main/5", (("one", 1), ("two", 2), ("::1", 3)), "main"),
        (
            "rediss+sentinel://u:p%40@one,two/my%20main/0?ssl_cert_reqs=none",
            (("one", 26379), ("two", 26379)),
            "my main",
        ),
    ],
)
def test_sentinels_are_told_apart(url: str, sentinels: tuple[tuple[str, int], ...], service: str) -> None:
    address = parse_redis_url(url)
    assert (address.sentinels, address.service) == (sentinels, service)


def test_what_stands_behind_a_sentinels_url_is_for_the_primary() -> None:
    url = "rediss+sentinel://u:p%40@one,two/main/5?ssl_cert_reqs=none&sentinel_username=s&sentinel_password=q%40"
    assert parse_redis_url(url) == RedisAddress(
        "rediss://u:p%40@sentinel/5?ssl_cert_reqs=none", (("one", 26379), ("two", 26379)), "main", "s", "q@"
    )
    options = connect(url, max_connections=1).connection_pool.connection_kwargs
    expected = {"username": "u", "password": "p@", "db": 5, "ssl_cert_reqs": "none", "protocol": 2}
    assert {name: options[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://host/abc", "number of a database"),
        ("redis://host/0/1", "number of a database"),
        ("redis://host/-1", "number of a database"),
        ("redis://host:port", "port"),
        ("http://host", "must be redis://"),
        ("redis+cluster://host", "must be redis://"),
        ("unix://", "a host or a path"),
        ("unix://run/redis.sock", "whole path"),
        ("redis+sentinel://one,two", "service"),
        ("redis+sentinel:///main", "service"),
        ("redis+sentinel://one/main/x", "database"),
        ("redis+sentinel://one,,two/main", "no host"),
    ],
)
def test_a_url_that_would_mean_something_else_is_refused(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_redis_url(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://u:secret@host:1/2?password=secret", "redis://host:1/2"),
        ("redis+sentinel://:secret@a,b/main", "redis+sentinel://a,b/main"),
        ("unix:///run/redis.sock?password=secret", "unix:///run/redis.sock"),
    ],
)
def test_an_operator_sees_the_place_and_no_secret(url: str, expected: str) -> None:
    assert shown(url) == expected
