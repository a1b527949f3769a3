from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from cli.doctor.examination import examined
from cli.doctor.finding import Finding
from shared.settings import Settings
from tests.broker import KEYS, RealBroker, Valkey, immortal_keys, looking


async def found(url: str, **settings: str) -> dict[str, Finding]:
    named = Settings.model_validate({"redis_url": url, "namespace": KEYS.namespace, **settings})
    return {one.check: one for one in await examined(named)}


async def test_a_service_that_runs_is_well_but_for_who_is_missing(own_valkey: Valkey) -> None:
    seen = await found(own_valkey.url)
    assert {check for check, one in seen.items() if one.level == "bad"} == {"web", "workers"}
    assert seen["persistence"].seen == "append-only file"
    assert {"round trip", "clock", "permissions (ledger)", "permissions (logs)"} <= seen.keys()


async def test_an_examination_leaves_nothing_behind(own_valkey: Valkey) -> None:
    await found(own_valkey.url)
    with looking(RealBroker(own_valkey.url)) as look:
        assert look.dbsize() == 0
        assert not immortal_keys(look)


async def test_a_redis_that_is_away_is_a_finding(unused_port: int) -> None:
    (only,) = (await found(f"redis://127.0.0.1:{unused_port}")).values()
    assert (only.level, only.check) == ("bad", "redis")
    assert "REDIS_URL" in only.do


async def test_logs_on_another_redis_are_looked_at_too(own_valkey: Valkey, unused_port: int) -> None:
    seen = await found(own_valkey.url, events_redis_url=f"redis://127.0.0.1:{unused_port}")
    assert seen["logs: redis"].level == "bad"
    assert "EVENTS_REDIS_URL" in seen["logs: redis"].do


@pytest.mark.parametrize(
    ("rules", "refused"),
    [
        ("~* &* +@all", {}),
        ("~* &* +@all -xadd -blpop", {"permissions (ledger)", "permissions (arq)", "permissions (logs)"}),
        ("~{test}:* &* +@all", {"permissions (arq)", "permissions (logs)"}),
        ("~* +@all resetchannels", {"permissions (ledger)", "permissions (arq)", "permissions (logs)"}),
        ("~* &* +@all -hincrby", {"permissions (ledger)", "permissions (arq)", "permissions (logs)"}),
    ],
)
async def test_what_a_user_may_not_do_is_named(own_valkey: Valkey, rules: str, refused: set[str]) -> None:
    with looking(RealBroker(own_valkey.url)) as look:
        look.execute_command("ACL", "SETUSER", "agent", "on", ">secret", *rules.split())
    port = urlsplit(own_valkey.url).port
    seen = await found(f"redis://agent:secret@127.0.0.1:{port}")
    bad = {check for check, one in seen.items() if one.level == "bad"} - {"web", "workers"}
    assert bad == set(refused)
    if refused:
        assert "refused: " in seen["permissions (logs)"].seen


async def test_a_wrong_password_is_a_finding(own_valkey: Valkey) -> None:
    with looking(RealBroker(own_valkey.url)) as look:
        look.execute_command("ACL", "SETUSER", "agent", "on", ">secret", "~*", "&*", "+@all")
    port = urlsplit(own_valkey.url).port
    (only,) = (await found(f"redis://agent:wrong@127.0.0.1:{port}")).values()
    assert (only.level, only.check) == ("bad", "redis")


async def test_a_full_redis_and_a_replica_are_told_apart(own_valkey: Valkey) -> None:
    with looking(RealBroker(own_valkey.url)) as look:
        look.execute_command("CONFIG", "SET", "maxmemory", "1")
        (full,) = (await found(own_valkey.url)).values()
        look.execute_command("CONFIG", "SET", "maxmemory", "0")
        look.execute_command("REPLICAOF", "127.0.0.1", "1")
        (replica,) = (await found(own_valkey.url)).values()
    assert "full" in full.seen
    assert "replica" in replica.seen


async def test_a_paused_redis_is_told_in_time(own_valkey: Valkey) -> None:
    """It wakes only after the doctor has ended."""
    own_valkey.pause()
    (only,) = (await found(own_valkey.url)).values()
    own_valkey.resume()
    assert "does not answer in time" in only.seen


async def test_the_workers_of_the_service_hear_nothing_of_an_examination(own_valkey: Valkey) -> None:
    with looking(RealBroker(own_valkey.url)) as look:
        look.execute_command("CONFIG", "RESETSTAT")
        await found(own_valkey.url)
        assert not look.pubsub_channels()
