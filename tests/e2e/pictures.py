"""`make pictures`: takes the pictures of the monitor page in docs/monitor, from a real service that is at work."""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, ViewportSize

from tests.e2e import browser
from tests.e2e.asking import authorised
from tests.e2e.process import ROOT
from tests.e2e.service import ALICE, BOB, OLGA, Service, started

FOLDER = ROOT / "docs" / "monitor"
SEED = 7
BUSY_SECONDS = 330  # of traffic before the first picture: charts by the minute need minutes
DESK: ViewportSize = {"width": 1180, "height": 720}
PHONE: ViewportSize = {"width": 390, "height": 844}
AGENTS = ("main", "main", "main", "coder", "coder", "researcher", "importer")
ASKS = (
    "Find out why the nightly build fails",
    "Summarise the incident of last night for the customers",
    "Rename the column in all queries, and run the tests",
    "Which of our dependencies have a new major release?",
)


def main() -> None:
    random.seed(SEED)
    program = browser.found()
    FOLDER.mkdir(parents=True, exist_ok=True)
    settings = {"AGENTS_FILE": str(ROOT / "tests/e2e/lively.toml"), "WORKER_CONCURRENCY": "6"}
    with (
        tempfile.TemporaryDirectory() as folder,
        started(Path(folder), webs=2, workers=2, settings=settings) as service,
    ):
        stuck = post(service, "stuck", "Import the orders of yesterday", "agent:stuck:nightly-import")
        keep_busy(service, float(sys.argv[1]) if len(sys.argv) > 1 else BUSY_SECONDS)
        with browser.running(program) as chromium:
            take_all(chromium, service, stuck)


def post(service: Service, agent: str, text: str, session: str | None = None, *, token: str = ALICE) -> str:
    body = {"agent": agent, "input": text} | ({"session": session} if session else {})
    url = random.choice(service.webs).url
    return str(httpx.post(f"{url}/v1/runs", json=body, headers=authorised(token)).json()["id"])


def keep_busy(service: Service, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        agent = random.choice(AGENTS)
        team = random.randint(1, 5)
        session = f"agent:{agent}:team-{team}" if random.random() < 0.4 else None
        post(service, agent, random.choice(ASKS), session, token=(ALICE, BOB)[team % 2])  # a session has one owner
        time.sleep(random.uniform(0.05, 0.6))


def take_all(chromium: Browser, service: Service, stuck: str) -> None:
    desk = chromium.new_context(viewport=DESK, color_scheme="light")
    page = desk.new_page()
    page.goto(f"{service.url}/monitor/login")
    shoot(page, "login")
    page.get_by_label("Token").fill(OLGA)
    page.get_by_role("button", name="Log in").click()
    live(page)
    done = run_of(service, "coder", "completed")
    failed = run_of(service, "importer", "failed")
    httpx.post(f"{service.url}/v1/admin/runs/{failed}/retry", headers=authorised(OLGA))
    pages = {
        "overview": "",
        "runs": "/runs",
        "run": f"/runs/{done}",
        "run-failed": f"/runs/{failed}",
        "stuck": f"/runs/{stuck}",
        "failed": "/failed",
        "sessions": "/sessions",
        "workers": "/workers",
        "queue": "/queue",
        "audit": "/audit",
    }
    for number in range(12):
        post(service, "coder", ASKS[number % len(ASKS)], f"agent:coder:nightly-{number % 3}", token=BOB)
    httpx.post(f"{service.url}/v1/admin/queue/pause", json={"agent": "researcher"}, headers=authorised(OLGA))
    for number in range(3):
        post(service, "researcher", ASKS[number])
    worker = service.announced()[0].worker
    httpx.post(f"{service.url}/v1/admin/workers/{worker}/drain", headers=authorised(OLGA))
    state = desk.storage_state()
    for name, path in pages.items():
        go(page, service, path)
        if name == "stuck":
            page.get_by_role("button", name="Cancel run").click()
        shoot(page, name)
    for name, scheme, size in (("dark", "dark", DESK), ("phone", "light", PHONE), ("phone-dark", "dark", PHONE)):
        context = chromium.new_context(
            viewport=size, color_scheme="dark" if scheme == "dark" else "light", storage_state=state
        )
        other = context.new_page()
        for which in ("overview", "run") if "phone" in name else ("overview", "run", "runs", "workers"):
            go(other, service, pages[which])
            shoot(other, f"{which}-{name}")
        context.close()
    desk.close()


def go(page: Page, service: Service, path: str) -> None:
    page.goto(f"{service.url}/monitor{path}")
    live(page)
    page.wait_for_timeout(1_500)  # long enough to show live text


def live(page: Page) -> None:
    page.wait_for_selector("#live[data-state=on]")


def shoot(page: Page, name: str) -> None:
    page.screenshot(path=FOLDER / f"{name}.png")


def run_of(service: Service, agent: str, state: str) -> str:
    params = {"agent": agent, "state": state, "limit": "1"}
    found = httpx.get(f"{service.url}/v1/admin/runs", params=params, headers=authorised(OLGA)).json()
    return str(found["data"][0]["id"])


if __name__ == "__main__":
    main()
