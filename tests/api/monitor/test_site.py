"""The pages as a browser gets them from the whole API, on a fake or a real Redis."""

from __future__ import annotations

import json
import time
from contextlib import AsyncExitStack
from urllib.parse import urlencode

import httpx
import pytest
from starlette.routing import Route

from api.monitor.login import PATH
from api.monitor.run_page import RAW
from shared.log.event_log import EventLog
from shared.run.errors import ErrorCode
from shared.run.events import Failed, ToolUse
from tests.api.monitor.browsing import actions, browsing
from tests.api.running import ALICE, MONA, OLGA, Api, Feed, feed, running_api
from tests.api.stage import Stage
from tests.broker import Broker, looking

EVIL = "<script>alert('1')</script>"
PAGES = ("", "/runs", "/failed", "/sessions", "/workers", "/queue", "/audit")


async def posted(client: httpx.AsyncClient, **body: object) -> str:
    return str((await client.post("/v1/runs", json={"input": "Hi", **body})).json()["id"])


def guarded(answer: httpx.Response) -> bool:
    """Whether the response has the headers that protect the page from other sites."""
    policy = answer.headers["content-security-policy"]
    return (
        "default-src 'none'" in policy
        and "unsafe" not in policy
        and answer.headers["x-frame-options"] == "DENY"
        and answer.headers["x-content-type-options"] == "nosniff"
    )


# --- logging in and out -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["", "/runs/chatcmpl_1"])
async def test_a_stranger_is_asked_for_a_token_and_led_on(stranger: httpx.AsyncClient, page: str) -> None:
    answer = await stranger.get(f"/monitor{page}", params={"x": "1"})
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/monitor/login?" + urlencode({"next": f"/monitor{page}?x=1"}),
    )
    assert guarded(answer)
    login = await stranger.get(answer.headers["location"])
    assert f'value="/monitor{page}?x=1"' in login.text
    entered = await stranger.post("/monitor/login", data={"token": MONA, "next": f"/monitor{page}"})
    assert (entered.status_code, entered.headers["location"]) == (303, f"/monitor{page}")


@pytest.mark.parametrize(("token", "status"), [("wrong", 401), ("", 401), (ALICE, 403)])
async def test_a_token_that_may_not_look(stranger: httpx.AsyncClient, token: str, status: int) -> None:
    answer = await stranger.post("/monitor/login", data={"token": token})
    assert answer.status_code == status
    assert 'role="alert"' in answer.text
    assert "set-cookie" not in answer.headers
    assert guarded(answer)


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "https://evil.example/monitor/", "/monitorx", "javascript:1", ""]
)
async def test_a_login_leads_to_no_other_site(stranger: httpx.AsyncClient, elsewhere: str) -> None:
    entered = await stranger.post("/monitor/login", data={"token": OLGA, "next": elsewhere})
    assert entered.headers["location"] == "/monitor"


async def test_who_logs_out_is_out(operator: httpx.AsyncClient) -> None:
    assert (await operator.get("/monitor")).status_code == 200
    assert (await operator.post("/monitor/logout")).headers["location"] == "/monitor/login"
    assert (await operator.get("/monitor")).status_code == 303


async def test_another_process_knows_the_pass(operator: httpx.AsyncClient, other_api: Api) -> None:
    answer = await operator.get(f"{other_api.url}/monitor")
    assert answer.status_code == 200


async def test_who_follows_a_link_of_another_site_is_sent_on_with_the_pass(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/monitor", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert 'http-equiv="refresh"' in answer.text
    assert (await stranger.get("/monitor", headers={"Sec-Fetch-Site": "same-origin"})).status_code == 303


async def test_without_authentication_there_is_nothing_to_log_in_to(broker: Broker, stage: Stage) -> None:
    async with running_api(broker, "open", auth="none", host="127.0.0.1") as api, browsing(api, None) as browser:
        page = await browser.get("/monitor")
        assert page.status_code == 200
        assert "Log out" not in page.text
        assert (await browser.post("/monitor/queue/pause")).status_code == 303
        for header in ({"Origin": "http://localhost:1"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert (await browser.post("/monitor/queue/pause", headers=header)).status_code == 403


# --- pages ------------------------------------------------------------------------------------------------------------


async def test_every_page_is_whole_and_guarded(
    operator: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage
) -> None:
    await posted(alice, session="agent:main:s")
    await posted(alice, session="agent:main:s")
    await (await stage.take("Hello")).end(Failed(code=ErrorCode.AGENT_FAILED, message="It broke."))
    await operator.post("/monitor/queue/pause", data={"agent": "coder"})
    for page in PAGES:
        answer = await operator.get(f"/monitor{page}")
        assert answer.status_code == 200, answer.text
        assert guarded(answer)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.text.rstrip().endswith("</html>")
        assert 'aria-current="page"' in answer.text


async def test_scripts_and_styles_come_from_here_and_are_guarded(stranger: httpx.AsyncClient) -> None:
    for name, kind in (("monitor.js", "javascript"), ("monitor.css", "text/css"), ("icon.svg", "image/svg+xml")):
        answer = await stranger.get(f"/monitor/static/{name}")
        assert kind in answer.headers["content-type"]
        assert guarded(answer)
    assert (await stranger.get("/monitor/static/../site.py")).status_code == 404


async def test_one_run(operator: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage) -> None:
    run_id = await posted(alice, input="What is it?", session="agent:main:s")
    attempt = await stage.take("It is ", ToolUse(phase="start", name="ls"), "this.")
    page = (await operator.get(f"/monitor/runs/{run_id}")).text
    for shown in ("What is it?", "It is this.", "first text", "tool begins", "agent:main:s", "by w1"):
        assert shown in page
    assert 'data-after="5"' in page
    await attempt.end(Failed(code=ErrorCode.AGENT_FAILED, message="It broke."))
    page = (await operator.get(f"/monitor/runs/{run_id}")).text
    assert "It broke." in page
    assert "agent_failed" in page


async def test_of_a_compacted_log_the_same_is_shown(
    operator: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage, log: EventLog
) -> None:
    run_id = await posted(alice)
    attempt = await stage.take("first", ToolUse(phase="start", name="ls"))
    for number in range(RAW):
        await attempt.say(f"[{number}]")
    await attempt.end()

    async def shown() -> tuple[str, dict[str, str]]:
        page = (await operator.get(f"/monitor/runs/{run_id}")).text
        async with feed(operator, "/monitor/live", page=f"/monitor/runs/{run_id}", after=3) as stream:
            return page.partition('id="answer"')[2], await next_event(stream, "said")

    before = await shown()
    assert "first" in before[0]
    await log.compact(run_id)
    assert await shown() == before


async def test_what_clients_and_agents_say_is_no_html(
    operator: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage
) -> None:
    run_id = await posted(alice, input=EVIL, session=f"agent:main:{EVIL}")
    await posted(alice, session=f"agent:main:{EVIL}")
    await stage.take(EVIL, ToolUse(phase="start", name=EVIL))
    for page in ("", "/runs", "/sessions", f"/runs/{run_id}"):
        html = (await operator.get(f"/monitor{page}")).text
        assert "alert(&#39;1&#39;)" in html
        assert "<script>alert" not in html
    async with feed(operator, "/monitor/live", page=f"/monitor/runs/{run_id}", after=1) as stream:
        update = await next_event(stream, "said")
    assert "<script>" not in update["steps"]
    assert update["text"] == EVIL  # the page's script adds it as text, not as HTML


@pytest.mark.parametrize(
    ("page", "status"),
    [
        ("/nothing", 404),
        ("/runs/chatcmpl_gone", 404),
        ("/runs?state=lost", 400),
        ("/runs?cursor=x", 400),
        ("/runs?within=soon", 400),
        ("?window=year", 400),
    ],
)
async def test_what_is_not_there_is_told_in_a_page(operator: httpx.AsyncClient, page: str, status: int) -> None:
    answer = await operator.get(f"/monitor{page}")
    assert answer.status_code == status
    if page != "/nothing":
        assert "Go to the overview" in answer.text


async def test_words_of_a_link_are_not_shown(operator: httpx.AsyncClient) -> None:
    page = (await operator.get("/monitor/failed", params={"told": "all", "count": EVIL, "refused": "7"})).text
    assert "0 runs were run again, 7 could not be." in page
    assert "You won" not in (await operator.get("/monitor", params={"told": "You won"})).text


# --- acting -----------------------------------------------------------------------------------------------------------


def acts(api: Api) -> list[str]:
    """Every address that takes a form, but for coming and going."""
    posts = {
        route.path for route in api.application.app.routes if isinstance(route, Route) and route.methods == {"POST"}
    }
    paths = {path.removeprefix(PATH) for path in posts if path.startswith(PATH)} - {"/login", "/logout"}
    assert {"/runs/{run_id}/cancel", "/queue/pause"} <= paths
    return [path.format(run_id="chatcmpl_1", worker="w1") for path in sorted(paths)]


async def test_only_operators_act(api: Api, onlooker: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    for act in acts(api):
        refused = await onlooker.post(f"/monitor{act}")
        assert refused.status_code == 403
        assert "operate" in refused.text
        assert (await stranger.post(f"/monitor{act}")).headers["location"].startswith("/monitor/login")
        assert (await onlooker.get(f"/monitor{act}")).status_code in (404, 405)


async def test_no_other_site_acts(api: Api, operator: httpx.AsyncClient) -> None:
    """A browser may send the cookie with a form of another origin of the same site."""
    for act in (*acts(api), "/login", "/logout"):
        for sent in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "same-site"}):
            assert (await operator.post(f"/monitor{act}", headers=sent)).status_code == 403
    assert "No operator has done anything yet." in (await operator.get("/monitor/audit")).text


async def test_an_onlooker_sees_no_buttons(
    onlooker: httpx.AsyncClient, operator: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage
) -> None:
    await posted(alice)
    await (await stage.take()).end(Failed(code=ErrorCode.AGENT_FAILED, message="It broke."))
    await posted(alice)
    for page in PAGES:
        assert actions(await onlooker.get(f"/monitor{page}")) == []
    for page in ("/failed", "/workers", "/queue"):
        assert actions(await operator.get(f"/monitor{page}"))


async def test_a_form_that_is_no_form_is_bad_luck_and_no_bug(operator: httpx.AsyncClient) -> None:
    answer = await operator.post("/monitor/queue/pause", content=b"agent=\xff%ff&=&x")
    assert answer.status_code == 400


# --- live -------------------------------------------------------------------------------------------------------------


async def next_event(stream: Feed, event: str) -> dict[str, str]:
    while (one := await stream.next()).event != event:
        pass
    found = json.loads(one.data)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_is_kept_fresh(operator: httpx.AsyncClient, page: str) -> None:
    async with feed(operator, "/monitor/live", page=f"/monitor{page}") as stream:
        assert stream.answer.headers["content-type"].startswith("text/event-stream")
        parts = await next_event(stream, "parts")
    html = (await operator.get(f"/monitor{page}")).text
    assert parts.pop("notice") == ""
    assert parts
    assert all(f'id="{name}"' in html for name in parts)


async def test_what_happens_is_seen_without_asking_again(operator: httpx.AsyncClient, alice: httpx.AsyncClient) -> None:
    async with feed(operator, "/monitor/live", page="/monitor/runs") as stream:
        assert "No run fits." in (await next_event(stream, "parts"))["list"]
        run_id = await posted(alice)
        assert run_id in (await next_event(stream, "parts"))["list"]


async def test_a_run_is_followed_from_where_its_page_stands(
    operator: httpx.AsyncClient, alice: httpx.AsyncClient, stage: Stage
) -> None:
    run_id = await posted(alice)
    attempt = await stage.take("One")
    async with feed(operator, "/monitor/live", page=f"/monitor/runs/{run_id}", after=3) as stream:
        await attempt.say(" two")
        assert (await next_event(stream, "said"))["text"] == " two"
        await attempt.end()
        assert "completed" in (await next_event(stream, "said"))["steps"]
    again = {"Last-Event-ID": "4"}
    async with feed(operator, "/monitor/live", headers=again, page=f"/monitor/runs/{run_id}", after=3) as stream:
        assert (await next_event(stream, "said"))["text"] == ""


async def test_a_stranger_s_page_is_told_to_log_in(stranger: httpx.AsyncClient) -> None:
    async with feed(stranger, "/monitor/live", page="/monitor") as stream:
        assert (await stream.next()).event == "bye"


async def test_who_looks_on_holds_up_no_stop(api: Api, operator: httpx.AsyncClient) -> None:
    async with feed(operator, "/monitor/live", page="/monitor") as stream:
        await next_event(stream, "parts")
        api.application.end_pages()
        assert all(event.event == "parts" for event in await stream.rest())


async def test_redis_is_asked_once_a_second_however_many_look(real_broker: Broker) -> None:
    """Each look at the overview sends Redis one INFO, and nothing else in this test sends any."""
    async with running_api(real_broker) as api, browsing(api) as browser, AsyncExitStack() as stack:
        begun = time.monotonic()
        streams = [await stack.enter_async_context(feed(browser, "/monitor/live", page="/monitor")) for _ in range(10)]
        before = info_calls(real_broker)
        for _ in range(3):
            for stream in streams:
                await next_event(stream, "parts")
        looks = info_calls(real_broker) - before
        assert 2 <= looks <= time.monotonic() - begun + 2


def info_calls(broker: Broker) -> int:
    """The number of INFO commands so far. Redis does not count the INFO that reads this number."""
    with looking(broker) as look:
        return look.info("commandstats").get("cmdstat_info", {"calls": 0})["calls"]
