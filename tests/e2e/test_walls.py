"""What fails, fails alone: Redis refuses what the service asks, holds what nobody has written, and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from redis import Redis

from shared.redis.keys import Keys
from tests.e2e.asking import CHAT, asked, authorised, broken_off, content, received_until, stream, streamed
from tests.e2e.play import say, wait
from tests.e2e.service import OLGA, Service, started
from tests.e2e.waiting import until
from tests.ports import free_port

ALL = ("~*", "&*", "+@all")

# What an administrator takes away from the service's user for a while. A server may have any reason to refuse.
TAKEN = {
    "channels": ("resetchannels",),
    "scripts": ("-eval", "-evalsha"),
    "commands of scripts": ("-zadd", "-hset", "-hmget"),
    "keys": ("resetkeys",),
    "everything": ("-@all", "resetkeys", "resetchannels"),
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    metrics = {"METRICS_PORT": str(free_port())}
    with started(tmp_path_factory.mktemp("walls"), settings=metrics) as service:
        yield service


@pytest.fixture
def redis(pair: Service) -> Iterator[Redis]:
    with Redis.from_url(pair.redis.connection_url) as redis:
        yield redis


def set_user(redis: Redis, *rules: str) -> None:
    redis.execute_command("ACL", "SETUSER", *rules)  # type: ignore[no-untyped-call]


def is_alive(pair: Service) -> bool:
    """Both processes live, and their health checks say so."""
    urls = (f"{pair.url}/healthz", f"http://127.0.0.1:{pair.setting('METRICS_PORT')}/healthz")
    return all(httpx.get(url).is_success for url in urls) and all(one.running for one in (*pair.webs, *pair.workers))


def answered(pair: Service, http: httpx.Client) -> bool:
    play = pair.play(say("Hello"))
    answer = http.post(pair.url + CHAT, json=asked(play.message, "scripted"))
    return answer.is_success and content(answer) == "Hello"


@pytest.mark.parametrize("taken", TAKEN.values(), ids=TAKEN.keys())
def test_a_redis_that_refuses_ends_no_process(
    pair: Service, redis: Redis, cluster_http: httpx.Client, taken: tuple[str, ...]
) -> None:
    """Its answers count as none. Both processes go on when it serves again, and meanwhile they say that they live."""
    set_user(redis, "admin", "on", ">secret", *ALL)
    with Redis.from_url(pair.redis.connection_url, username="admin", password="secret") as admin:
        set_user(admin, "default", *taken)
        try:
            until(lambda: not httpx.get(f"{pair.url}/readyz").is_success or taken == ("resetchannels",))
            refused = cluster_http.post(pair.url + CHAT, json=asked("Hi", "scripted"))
            assert refused.status_code == 503
            assert is_alive(pair)
        finally:
            set_user(admin, "default", *ALL)
    until(lambda: answered(pair, cluster_http))
    assert is_alive(pair)


def test_junk_everywhere_ends_no_process(pair: Service, redis: Redis, cluster_http: httpx.Client) -> None:
    keys = Keys(pair.setting("NAMESPACE"))
    for name, junk in keys.prefixes().items():
        if name not in ("control", "watch") and not junk.endswith(":"):
            key = junk
            match redis.type(key):
                case b"zset":
                    redis.zadd(key, {b"junk": 1, b"\xff": 2})
                case b"hash":
                    redis.hset(key, "junk", "junk")
                case b"list":
                    redis.lpush(key, "junk")
    for message in ("junk", "{}", "[" * 5_000, b"\xff\xff"):
        redis.publish(keys.control, message)
    redis.hset(keys.prefixes()["watch"], mapping={"at": "junk", "lease": "junk"})
    until(lambda: answered(pair, cluster_http))
    assert is_alive(pair)


def test_a_redis_that_was_emptied_with_its_links_intact_is_told_to_readers(
    pair: Service, redis: Redis, cluster_http: httpx.Client
) -> None:
    """No connection breaks and no message comes. The readers' heartbeat finds out."""
    play = pair.play(say("half an answer"), wait("never"))
    with stream(cluster_http, asked(play.message, "scripted"), url=pair.url) as received:
        before = received_until("half an answer", received)
        redis.flushall()
        assert broken_off([*before, *received])["code"] == "run_lost"
    until(lambda: answered(pair, cluster_http))


def test_a_user_with_the_documented_rights_runs_the_service(
    tmp_path: Path, cluster_http: httpx.Client, pool: ThreadPoolExecutor
) -> None:
    """docs/redis.md has the rules. The service may use no command and no key beyond them."""
    (line,) = [line for line in Path("docs/redis.md").read_text().splitlines() if line.startswith("ACL SETUSER")]
    rules = line.removeprefix("ACL SETUSER ").replace("runrelay:", "e2e:").replace("{runrelay}", "{e2e}").split()
    with started(tmp_path, webs=0, workers=0) as service, Redis.from_url(service.redis.connection_url) as admin:
        set_user(admin, *rules)
        url = service.redis.connection_url.replace("://", "://runrelay:password@", 1)
        service.start(webs=1, workers=1, settings={"REDIS_URL": url})
        play = service.play(say("half an answer"), wait("on"), say("."))
        with stream(cluster_http, asked(play.message, "scripted"), url=service.url) as received:
            before = received_until("half an answer", received)
            play.open("on")
            assert streamed([*before, *received]) == "half an answer."
        session = {"x-clawdbot-session-key": "agent:scripted:kept"}
        for _ in range(2):
            play = service.play(say("Hello"))
            answer = cluster_http.post(service.url + CHAT, json=asked(play.message, "scripted"), headers=session)
            assert content(answer) == "Hello"
        stopped = service.play(wait("never"))
        asking = pool.submit(cluster_http.post, service.url + CHAT, json=asked(stopped.message, "scripted"))
        run = until(lambda: stopped.starts)[0].run
        assert cluster_http.post(f"{service.url}/v1/runs/{run}/cancel").is_success
        assert asking.result().status_code == 409
        with httpx.Client(headers=authorised(OLGA), base_url=service.url) as olga:
            for page in ("stats", "runs", "queue", "workers", "sessions", "audit"):
                assert olga.get(f"/v1/admin/{page}").is_success
            assert olga.post("/v1/admin/queue/pause", json={"agent": "scripted"}).is_success
            assert olga.post("/v1/admin/queue/resume", json={"agent": "scripted"}).is_success
        refused = admin.acl_log()
        assert isinstance(refused, list)
        assert [one for one in refused if one["username"] == "runrelay"] == []
