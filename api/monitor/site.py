"""The requests of the monitor page: authenticates operators, shows pages, and executes forms."""

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
from api.intake.run_access import RunAccess
from api.monitor.actions import MESSAGES, Act
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
    "Referrer-Policy": "same-origin",  # with a stricter policy browsers do not send a form's origin
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

Handler = Callable[[Request], Awaitable[Response]]


def html_handler(handler: Handler, site: Site) -> Handler:
    """Wraps `handler` so that its errors are HTML, too, and every response has the HEADERS that protect the page from
    other sites."""

    async def guarded(request: Request) -> Response:
        try:
            response = await handler(request)
        except ApiError as failure:
            response = site.refusal(request, failure)
        except (Refused, Unavailable) as why:
            response = site.refusal(request, api_errors.refused(why))
        response.headers.update({name: value for name, value in HEADERS.items() if name not in response.headers})
        return response

    return guarded


@dataclass(frozen=True)
class Site:
    login: Login
    templates: Templates
    live: LiveViews
    access: RunAccess
    events: EventLog
    pages: Mapping[str, MonitorPage]  # by path
    run: MonitorPage

    # --- pages --------------------------------------------------------------------------------------------------------

    async def show(self, request: Request) -> Response:
        operator = self.login.operator(request)
        page, page_request = self._found(request.url.path, request.query_params)
        view = await page.view(page_request)
        message = MESSAGES.get(request.query_params.get("told", ""), "").format_map(_Counts(request.query_params))
        stream = f"{PATH}/live?{urlencode({'page': _address(request, without=('told', 'count', 'refused'))})}"
        html = self.templates.page(
            page.template, view=view, operator=operator, path=request.url.path, told=message, stream=stream
        )
        return HTMLResponse(html)

    def _found(self, path: str, query: Mapping[str, str]) -> tuple[MonitorPage, PageRequest]:
        """The page of a path, and the request for it. Raises ApiError 404."""
        if path in self.pages:
            return self.pages[path], PageRequest(query)
        run_id = path.removeprefix(RUN)
        if run_id == path or not run_id or "/" in run_id:
            raise ApiError(404, "There is no such page.", api_errors.INVALID)
        return self.run, PageRequest(query, run_id)

    async def stream(self, request: Request) -> Response:
        """Streams the changes of the page in the parameter `page`; of a run's page also the events numbered above
        `after`."""
        try:
            operator = self.login.operator(request)
        except ApiError:
            return Response(sse.event("bye", b"{}"), headers=sse.HEADERS)
        address = urlsplit(request.query_params.get("page", PATH))
        query = dict(parse_qsl(address.query))
        page, page_request = self._found(address.path, query)
        after = number(request.headers.get("last-event-id") or request.query_params.get("after"), "after", default=-1)
        key = (address.path, tuple(sorted(query.items())), operator)

        async def look() -> Parts:
            return self.templates.parts(page.template, view=await page.live_view(page_request), operator=operator)

        async with AsyncExitStack() as owned:
            try:
                watch = await owned.enter_async_context(self.live.subscribe(key, look))
            except TooManyLooks:
                raise ApiError(503, "Too many different pages are looked at.", api_errors.API) from None
            sources = [changing(watch)]
            if page_request.target and after >= 0:
                sources.append(await self._run_source(owned, page_request.target, after))
            return LiveResponse(sources, owned.pop_all())

    async def _run_source(self, owned: AsyncExitStack, run_id: str, after: int) -> Source:
        head = await self.access.check_cursor(run_id, after, "after")
        record = await self.access.any_record(run_id)
        _, reader = await owned.enter_async_context(self.access.observe(run_id, after=min(after, head.seq)))
        return speaking(reader, self.events, self.templates, after=after, queued_ms=record.queued_ms)

    # --- actions ------------------------------------------------------------------------------------------------------

    def act(self, act: Act) -> Handler:
        async def handler(request: Request) -> Response:
            check_same_origin(request)
            operator = self.login.operator(request)
            if not operator.may_operate:
                raise api_errors.scope_missing("operate")
            done = await act(request, await _form(request), operator.name)
            message = {"told": done.told, "count": done.count, "refused": done.refused}
            return RedirectResponse(f"{done.path}{'&' if '?' in done.path else '?'}{urlencode(message)}", 303)

        return handler

    # --- logging in and out -------------------------------------------------------------------------------------------

    async def ask_token(self, request: Request) -> Response:
        return HTMLResponse(self.templates.page("login.html", next=_own(request.query_params.get("next")), wrong=""))

    async def log_in(self, request: Request) -> Response:
        check_same_origin(request)
        form = await _form(request)
        response = RedirectResponse(_own(form.get("next")), 303)
        try:
            self.login.begin_session(request, form.get("token", "").strip(), response)
        except ApiError as failure:
            wrong = "No credential has this token." if failure.status == 401 else str(failure)
            page = self.templates.page("login.html", next=_own(form.get("next")), wrong=wrong)
            return HTMLResponse(page, failure.status)
        return response

    async def log_out(self, request: Request) -> Response:
        check_same_origin(request)
        response = RedirectResponse(f"{PATH}/login", 303)
        end_session(response)
        return response

    # --- errors -------------------------------------------------------------------------------------------------------

    def refusal(self, request: Request, failure: ApiError) -> Response:
        if failure.status == 401:
            if is_cross_site(request):
                return HTMLResponse(self.templates.page("again.html"))
            return RedirectResponse(f"{PATH}/login?{urlencode({'next': _address(request)})}", 303)
        headers = {name: value for name, value in failure.headers.items() if name == "Retry-After"}
        try:
            operator: Operator | None = self.login.operator(request)
        except ApiError:
            operator = None
        html = self.templates.page(
            "refusal.html", operator=operator, path="", status=failure.status, message=str(failure)
        )
        return HTMLResponse(html, failure.status, headers=headers)


class _Counts(dict[str, str]):
    """The numbers in a link's query. Any other text in their place counts as 0: a link of another site may hold any."""

    def __init__(self, query: Mapping[str, str]) -> None:
        super().__init__({name: query.get(name, "") for name in ("count", "refused")})

    def __getitem__(self, name: str) -> str:
        number = super().__getitem__(name)
        return number if number.isascii() and number.isdigit() and len(number) < 10 else "0"


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form that has no file. Raises ApiError 408 and 413."""
    raw = await read_body(request, limit=FORM_BYTES, seconds=BODY_SECONDS)
    return dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))


def _own(address: str | None) -> str:
    """The address if it is one of the monitor pages, otherwise the first page: a link may name any site."""
    return address if address and (address == PATH or address.startswith((f"{PATH}/", f"{PATH}?"))) else PATH


def _address(request: Request, *, without: tuple[str, ...] = ()) -> str:
    query = urlencode([(name, value) for name, value in request.query_params.multi_items() if name not in without])
    path = quote(request.url.path)
    return f"{path}?{query}" if query else path
