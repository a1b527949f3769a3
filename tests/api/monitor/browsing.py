"""A browser without a screen. It keeps cookies and sends the origin of its requests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser

import httpx

from tests.api.running import OLGA, Api
from tests.plain import NO_TLS


@asynccontextmanager
async def browsing(api: Api, token: str | None = OLGA) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that has logged in with `token`; without one it has not logged in."""
    async with httpx.AsyncClient(base_url=api.url, headers={"Origin": api.url}, verify=NO_TLS, timeout=30) as browser:
        if token is not None:
            assert (await browser.post("/monitor/login", data={"token": token})).status_code == 303
        yield browser


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.actions: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form" and given.get("method") == "post":
            self.actions.append(given.get("action") or "")


def actions(page: httpx.Response) -> list[str]:
    """The addresses to which the buttons of a page post, without that for logging out."""
    forms = _Forms()
    forms.feed(page.text)
    return [action for action in forms.actions if action != "/monitor/logout"]
