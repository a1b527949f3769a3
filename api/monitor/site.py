"""The monitor page's requests: who asks is found out, pages are shown, forms are acted on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from api.http import api_errors, sse
from api.http.api_errors import ApiError
from api.http.body import BODY_SECONDS, read_body
from api.http.query import number
from api.intake.submission import Submission
from api.monitor.actions import MESSAGES, ActionResult, Form
from api.monitor.live_views import LiveViews, Parts, TooManyLooks
from api.monitor.login import PATH, Login, Operator, check_same_origin, end_session, is_cross_site
from api.monitor.monitor_page import MonitorPage, PageRequest
from api.monitor.page_stream import LiveResponse, Source, changing, speaking
from api.monitor.rendering import Templates
from shared.log.event_log import EventLog
from shared.run.errors import Refused, Unavailable

FORM_BYTES = 65_536
RUN = "/monitor/runs/"

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with less browsers do not say where a form comes from
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

Handler = Callable[[Request], Awaitable[Response]]
Act = Callable[[Request, Form, str], Awaitable[ActionResult]]


def html_handler(handler: Handler, site: Site) -> Handler:
    """Answers in HTML, also when it fails, and never without the headers that keep others out."""

    async def guarded(request: Request) -> Response:
        try:
            answer = await handler(request)
        except ApiError as failure:
            answer = site.refusal(request, failure)
        except (Refused, Unavailable) as why:
            answer = site.refusal(request, api_errors.refused(why))
        answer.headers.update({name: value for name, value in HEADERS.items() if name not in answer.headers})
        return answer

    return guarded


@dataclass(frozen=True)
class Site:
    login: Login
    sheets: Templates
    live: LiveViews
    submission: Submission
    events: EventLog
    pages: Mapping[str, MonitorPage]  # by path
    run: MonitorPage

    # --- pages --------------------------------------------------------------------------------------------------------

    async def show(self, request: Request) -> Response:
        operator = self.login.operator(request)
        page, asked = self._found(request.url.path, request.query_params)
        view = await page.view(asked)
        told = MESSAGES.get(request.query_params.get("told", ""), "").format_map(_Counts(request.query_params))
        stream = f"{PATH}/live?{urlencode({'page': _address(request, without=('told', 'count', 'refused'))})}"
        html = self.sheets.page(
            page.template, view=view, operator=operator, path=request.url.path, told=told, stream=stream
        )
        return HTMLResponse(html)

    def _found(self, path: str, query: Mapping[str, str]) -> tuple[MonitorPage, PageRequest]:
        """Raises Failure 404."""
        if path in self.pages:
            return self.pages[path], PageRequest(query)
        run_id = path.removeprefix(RUN)
        if run_id == path or not run_id or "/" in run_id:
            raise ApiError(404, "There is no such page.", api_errors.INVALID)
        return self.run, PageRequest(query, run_id)

    async def stream(self, request: Request) -> Response:
        """What changes on the page of the parameter `page`, from the run's event number `after` on."""
        try:
            operator = self.login.operator(request)
        except ApiError:
            return Response(sse.event("bye", b"{}"), headers=sse.HEADERS)
        address = urlsplit(request.query_params.get("page", PATH))
        query = dict(parse_qsl(address.query))
        page, asked = self._found(address.path, query)
        after = number(request.headers.get("last-event-id") or request.query_params.get("after"), "after", default=-1)
        key = (address.path, tuple(sorted(query.items())), operator)

        async def look() -> Parts:
            return self.sheets.parts(page.template, view=await page.live_view(asked), operator=operator)

        async with AsyncExitStack() as owned:
            try:
                watch = await owned.enter_async_context(self.live.subscribe(key, look))
            except TooManyLooks:
                raise ApiError(503, "Too many different pages are looked at.", api_errors.API) from None
            sources = [changing(watch)]
            if asked.target and after >= 0:
                sources.append(await self._speaking(owned, asked.target, after))
            return LiveResponse(sources, owned.pop_all())

    async def _speaking(self, owned: AsyncExitStack, run_id: str, after: int) -> Source:
        head = await self.submission.place(run_id, after, "after")
        record = await self.submission.any_record(run_id)
        _, reader = await owned.enter_async_context(self.submission.observed(run_id, after=min(after, head.seq)))
        return speaking(reader, self.events, self.sheets, after=after, queued_ms=record.queued_ms)

    # --- acts ---------------------------------------------------------------------------------------------------------

    def act(self, act: Act) -> Handler:
        async def handler(request: Request) -> Response:
            check_same_origin(request)
            operator = self.login.operator(request)
            if not operator.may_operate:
                raise api_errors.scope_missing("operate")
            done = await act(request, await _form(request), operator.name)
            told = {"told": done.told, "count": done.count, "refused": done.refused}
            return RedirectResponse(f"{done.path}{'&' if '?' in done.path else '?'}{urlencode(told)}", 303)

        return handler

    # --- login --------------------------------------------------------------------------------------------------------

    async def ask_token(self, request: Request) -> Response:
        return HTMLResponse(self.sheets.page("login.html", next=_own(request.query_params.get("next")), wrong=""))

    async def log_in(self, request: Request) -> Response:
        check_same_origin(request)
        form = await _form(request)
        answer = RedirectResponse(_own(form.get("next")), 303)
        try:
            self.login.begin_session(request, form.get("token", "").strip(), answer)
        except ApiError as failure:
            wrong = "No credential has this token." if failure.status == 401 else str(failure)
            page = self.sheets.page("login.html", next=_own(form.get("next")), wrong=wrong)
            return HTMLResponse(page, failure.status)
        return answer

    async def log_out(self, request: Request) -> Response:
        check_same_origin(request)
        answer = RedirectResponse(f"{PATH}/login", 303)
        end_session(answer)
        return answer

    # --- what went wrong ----------------------------------------------------------------------------------------------

    def refusal(self, request: Request, failure: ApiError) -> Response:
        if failure.status == 401:
            if is_cross_site(request):
                return HTMLResponse(self.sheets.page("again.html"))
            return RedirectResponse(f"{PATH}/login?{urlencode({'next': _address(request)})}", 303)
        headers = {name: value for name, value in failure.headers.items() if name == "Retry-After"}
        try:
            operator: Operator | None = self.login.operator(request)
        except ApiError:
            operator = None
        html = self.sheets.page("refusal.html", operator=operator, path="", status=failure.status, message=str(failure))
        return HTMLResponse(html, failure.status, headers=headers)


class _Counts(dict[str, str]):
    """Numbers of a link, and nothing else that somebody might put there."""

    def __init__(self, query: Mapping[str, str]) -> None:
        super().__init__({name: query.get(name, "") for name in ("count", "refused")})

    def __getitem__(self, name: str) -> str:
        number = super().__getitem__(name)
        return number if number.isascii() and number.isdigit() and len(number) < 10 else "0"


async def _form(request: Request) -> dict[str, str]:
    """A form's fields, as browsers send them when no file is among them. Raises Failure 408 and 413."""
    raw = await read_body(request, limit=FORM_BYTES, seconds=BODY_SECONDS)
    return dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))


def _own(address: str | None) -> str:
    """An address of these pages, whatever a link says."""
    return address if address and (address == PATH or address.startswith((f"{PATH}/", f"{PATH}?"))) else PATH


def _address(request: Request, *, without: tuple[str, ...] = ()) -> str:
    query = urlencode([(name, value) for name, value in request.query_params.multi_items() if name not in without])
    path = quote(request.url.path)
    return f"{path}?{query}" if query else path
