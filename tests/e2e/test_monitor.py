"""The monitor page in a real browser, on the running service."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from redis import Redis

from shared.ledger.ledger import Ledger, QueueLimits
from shared.redis.client import open_redis
from shared.redis.keys import Keys
from shared.redis.pipe import Pipe
from shared.run.run import new_run_id
from tests.e2e import browser
from tests.e2e.asking import authorised
from tests.e2e.browser import Window
from tests.e2e.play import fail, say, wait
from tests.e2e.service import ALICE, OLGA, SETTINGS, Service, started
from tests.runs import a_run, submit

MONA = "monas-token"
PAGES = ("", "/runs", "/failed", "/sessions", "/workers", "/queue", "/audit")
EVIL = "<script>document.title='taken'</script><img src=x onerror=alert(1)>"
PHONE = {"width": 360, "height": 740}
BOUNDS = QueueLimits(retention_ms=600_000, queue_timeout_ms=600_000, max_waiting=20_000, max_waiting_per_session=20)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service for these tests only, because they pause its queue."""
    with started(tmp_path_factory.mktemp("monitored"), settings={"MONITOR_TOKENS": f"mona:{MONA}"}) as service:
        yield service


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.running(browser.found()) as chromium:
        yield chromium


@pytest.fixture
def context(chromium: Browser, service: Service) -> Iterator[BrowserContext]:
    context = chromium.new_context(base_url=service.url)
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def window(context: BrowserContext, service: Service) -> Iterator[Window]:
    """A window in which Olga is logged in. Fails on any error in it, and when it loads anything from elsewhere."""
    with browser.opened(context) as window:
        log_in(window.page, OLGA)
        yield window
        assert window.wrongs == []
        assert {address for address in window.loaded if not address.startswith(service.url)} == set()


@pytest.fixture
def page(window: Window) -> Page:
    return window.page


def log_in(page: Page, token: str) -> None:
    page.goto("/monitor/login")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()


def live(page: Page, path: str) -> None:
    page.goto(f"/monitor{path}")
    expect(page.locator("#live")).to_have_text("live")


def post(service: Service, agent: str, text: str, session: str | None = None) -> str:
    body = {"agent": agent, "input": text} | ({"session": session} if session else {})
    answer = httpx.post(f"{service.url}/v1/runs", json=body, headers=authorised(ALICE))
    return str(answer.json()["id"])


def sure(page: Page, button: str, yes: str) -> None:
    page.get_by_role("button", name=button, exact=True).click()
    page.get_by_role("button", name=yes).click()


def state_of(page: Page, state: str) -> None:
    expect(page.locator("#state .badge")).to_have_text(state)


# --- coming and going -------------------------------------------------------------------------------------------------


def test_a_wrong_token_is_told_and_the_right_one_leads_on(context: BrowserContext) -> None:
    with browser.opened(context) as window:
        page = window.page
        page.goto("/monitor/queue")
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_have_text("No credential has this token.")
        page.get_by_label("Token").fill(MONA)
        page.get_by_role("button", name="Log in").click()
        expect(page).to_have_url(re.compile("/monitor/queue$"))
        assert [wrong for wrong in window.wrongs if "401" not in wrong] == []  # the console reports every 401
        page.get_by_role("button", name="Log out").click()
        page.goto("/monitor")
        expect(page).to_have_url(re.compile("/monitor/login"))


def test_who_may_only_look_sees_no_buttons_and_is_refused(context: BrowserContext, service: Service) -> None:
    with browser.opened(context) as window:
        log_in(window.page, MONA)
        for path in PAGES:
            live(window.page, path)
            assert window.page.locator("main form[method=post]").count() == 0
        assert window.wrongs == []
        cookies = {cookie["name"]: cookie for cookie in context.cookies()}
        (cookie,) = cookies.values()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        refused = context.request.post("/monitor/queue/pause", headers={"Origin": service.url})
        assert refused.status == 403


# --- looking ----------------------------------------------------------------------------------------------------------


def test_a_page_shows_what_happens_without_being_loaded_again(page: Page, service: Service) -> None:
    live(page, "/runs")
    page.evaluate("window.same = true")
    play = service.play(wait("end"), say("Done."))
    run_id = post(service, "scripted", play.message)
    row = page.locator(f"[id='r-{run_id}']")
    expect(row.locator(".badge")).to_have_text("running")
    play.open("end")
    expect(row.locator(".badge")).to_have_text("completed")
    assert page.evaluate("window.same")


def test_a_run_says_what_it_says_as_it_says_it(page: Page, service: Service) -> None:
    play = service.play(say("One."), wait("two"), say(" Two."), wait("end"), fail("It broke."))
    run_id = post(service, "scripted", play.message)
    live(page, f"/runs/{run_id}")
    answer, timeline = page.locator("#answer"), page.locator("#timeline")
    expect(answer).to_have_text("One.")
    play.open("two")
    expect(answer).to_have_text("One. Two.")
    expect(timeline.locator("li")).to_have_count(3)
    play.open("end")
    expect(timeline.locator("li")).to_have_count(4)
    state_of(page, "failed")
    expect(page.locator("#state")).to_contain_text("It broke.")
    page.get_by_text("Events as they are").click()
    expect(page.locator("#raw")).to_contain_text('"delta":" Two."')


def test_a_run_that_ends_without_a_word_says_so(page: Page, service: Service) -> None:
    play = service.play(wait("end"))
    run_id = post(service, "scripted", play.message)
    live(page, f"/runs/{run_id}")
    answer = page.locator("#answer")
    assert before(answer) == '"Nothing yet."'
    play.open("end")
    expect(page.locator("#state .badge")).to_have_text("completed")
    assert before(answer) == '"It said nothing."'


def before(locator: Locator) -> str:
    return str(locator.evaluate("one => getComputedStyle(one, '::before').content"))


def test_a_refresh_leaves_focus_and_an_open_question_alone(page: Page, service: Service) -> None:
    play = service.play(say("One."), wait("end"))
    run_id = post(service, "scripted", play.message)
    live(page, f"/runs/{run_id}")
    page.get_by_role("button", name="Cancel run").click()
    before = page.locator("#facts").inner_text()
    page.wait_for_function("before => document.querySelector('#facts').innerText !== before", arg=before)
    expect(page.get_by_role("button", name="Yes, cancel it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Yes, cancel it")).to_be_hidden()
    play.open("end")
    state_of(page, "completed")


def test_without_the_script_all_but_being_live_works(chromium: Browser, service: Service) -> None:
    context = chromium.new_context(base_url=service.url, java_script_enabled=False)
    with browser.opened(context) as window:
        page = window.page
        log_in(page, OLGA)
        for path in PAGES:
            page.goto(f"/monitor{path}")
            expect(page.get_by_role("main")).to_be_visible()
        play = service.play(say("One."), wait("end"))
        page.goto(f"/monitor/runs/{post(service, 'scripted', play.message)}")
        sure(page, "Cancel run", "Yes, cancel it")
        expect(page.get_by_text("The run was asked to stop.")).to_be_visible()
    context.close()


def test_what_clients_and_agents_write_stays_text(page: Page, service: Service) -> None:
    play = service.play(say(EVIL), wait("more"), say(EVIL))
    session = f"agent:scripted:{EVIL}"
    run_id = post(service, "scripted", play.message, session)
    live(page, f"/runs/{run_id}")
    play.open("more")
    expect(page.locator("#answer")).to_have_text(EVIL + EVIL)
    state_of(page, "completed")
    live(page, f"/runs/{post(service, 'echo', EVIL, f'agent:echo:{EVIL}')}")
    expect(page.get_by_role("heading", name="Asked")).to_be_visible()
    live(page, "/runs")
    assert "taken" not in page.title()
    assert page.locator("img[src=x]").count() == 0


# --- acting -----------------------------------------------------------------------------------------------------------


def test_a_run_is_cancelled_run_again_and_deleted(page: Page, service: Service) -> None:
    play = service.play(say("One."), wait("never"))
    run_id = post(service, "scripted", play.message)
    live(page, "")
    page.locator("#longest").get_by_role("link", name=run_id.removeprefix("chatcmpl_")[:8]).click()  # one
    sure(page, "Cancel run", "Yes, cancel it")  # two, three
    state_of(page, "cancelled")
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text("This run does it again.")).to_be_visible()
    state_of(page, "running")
    play.open("never")
    state_of(page, "completed")
    sure(page, "Delete", "Yes, delete it")
    expect(page.get_by_text("were deleted.")).to_be_visible()
    live(page, "/audit")
    for act in ("run.cancel", "run.retry", "run.delete"):
        expect(page.locator("#list").get_by_text(act).first).to_be_visible()


def test_all_failed_runs_of_a_filter_are_run_again(page: Page, service: Service) -> None:
    session = "agent:exits:again"
    for _ in range(2):
        post(service, "exits", "Hi", session)
    live(page, "/failed")
    page.get_by_label("Session").fill(session)
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#list tbody tr")).to_have_count(2)
    sure(page, "Run all of these again", "Yes, run them again")
    expect(page.get_by_text("2 runs were run again, 0 could not be.")).to_be_visible()
    expect(page.locator("#list tbody tr")).to_have_count(4)


def test_the_queue_is_paused_and_resumed(page: Page, service: Service) -> None:
    live(page, "/queue")
    sure(page, "Pause the queue", "Yes, pause it")
    run_id = post(service, "main", "Hi")
    live(page, "")
    expect(page.locator("#alerts")).to_contain_text("The queue is paused by olga")
    page.get_by_role("link", name="Look at the queue").first.click()
    page.get_by_role("button", name="Resume the queue").click()
    page.goto(f"/monitor/runs/{run_id}")
    state_of(page, "completed")
    live(page, "/queue")
    page.get_by_role("textbox", name="An agent").fill("coder")
    page.get_by_role("button", name="Pause this agent").click()
    page.get_by_role("button", name="Resume coder").click()
    expect(page.get_by_role("button", name="Resume coder")).to_have_count(0)


def test_a_dialog_stays_open_when_the_same_is_told_in_other_white_space(page: Page) -> None:
    """A part that comes by the stream may have other white space than the page that was loaded."""
    live(page, "/queue")
    page.get_by_role("button", name="Pause the queue", exact=True).click()
    html = page.locator("#whole").inner_html()
    for other in (re.sub(r">\s+<", "><", html), html, re.sub(r"><", "> <", html)):
        page.evaluate("html => replace({whole: html})", other)
        expect(page.get_by_role("button", name="Yes, pause it")).to_be_visible()
    expect(page.locator("#whole .cards li")).to_have_count(4)


def test_a_worker_is_drained_and_resumed(page: Page) -> None:
    live(page, "/workers")
    page.get_by_role("button", name=re.compile("^Drain")).click()
    expect(page.locator("#workers .badge")).to_have_text("drained")
    page.get_by_role("button", name=re.compile("^Resume")).click()
    expect(page.locator("#workers .badge")).to_have_text("serving")


# --- accessibility ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_keep_to_the_rules_of_accessibility(chromium: Browser, service: Service, scheme: str) -> None:
    run_id = post(service, "exits", "Hi")
    context = chromium.new_context(
        base_url=service.url, color_scheme="dark" if scheme == "dark" else "light", bypass_csp=True
    )
    with browser.opened(context) as window:
        page = window.page
        page.goto("/monitor/login")
        assert browser.unkind(page) == []
        log_in(page, OLGA)
        for path in (*PAGES, f"/runs/{run_id}"):
            live(page, path)
            assert browser.unkind(page) == [], path
    context.close()


def test_no_page_is_wider_than_a_small_phone(page: Page, service: Service) -> None:
    run_id = post(service, "exits", "x" * 500, "agent:exits:" + "k" * 200)
    page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    for path in (*PAGES, f"/runs/{run_id}"):
        live(page, path)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path


def test_the_keyboard_skips_to_the_content_and_to_the_search(page: Page) -> None:
    live(page, "/runs")
    page.keyboard.press("/")
    expect(page.get_by_label("Run id")).to_be_focused()
    live(page, "")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


# --- many -------------------------------------------------------------------------------------------------------------


def test_ten_thousand_runs_are_listed_at_the_cost_of_a_hundred(page: Page, service: Service) -> None:
    """The cost is the number of entries that Redis has to read."""

    def cost() -> int:
        before = looked_at(service)
        assert page.request.get("/monitor/runs?agent=archive").ok
        return looked_at(service) - before

    live(page, "/runs")
    page.goto("about:blank")  # no page is open
    submit_many(service, 100)
    few = min(cost() for _ in range(5))
    submit_many(service, 9_900)
    assert min(cost() for _ in range(5)) <= few * 1.5
    live(page, "/runs?agent=archive")
    rows = page.locator("#list tbody tr")
    expect(rows).to_have_count(50)
    newest = rows.first.get_attribute("id")
    page.get_by_role("link", name="Older").click()
    expect(rows).to_have_count(50)
    assert rows.first.get_attribute("id") != newest


def submit_many(service: Service, number: int) -> None:
    """Runs that no worker takes."""

    async def submit_all() -> None:
        async with open_redis(service.redis.connection_url, max_connections=2) as redis:
            pipe = Pipe(redis)
            ledger = Ledger(pipe, Keys(SETTINGS["NAMESPACE"]))
            for _ in range(number // 100):
                ids = (new_run_id() for _ in range(100))
                # Nobody reads them: with "cancel" the service would end them while the test counts commands.
                fresh = (a_run(run_id=run_id, agent_id="archive", on_disconnect="continue") for run_id in ids)
                await asyncio.gather(*(submit(ledger, run, bounds=BOUNDS, bell="archive") for run in fresh))
            await pipe.aclose()

    with ThreadPoolExecutor(1) as pool:  # the browser's own loop runs in this thread
        pool.submit(asyncio.run, submit_all()).result()


def looked_at(service: Service) -> int:
    with Redis.from_url(service.redis.connection_url) as redis:
        stats = redis.info("commandstats")
    return sum(int(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"]) for name in ("hmget", "hget", "hgetall"))
