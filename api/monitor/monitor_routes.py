"""The routes of the monitor page, and the objects behind them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from api.admin.admin_routes import Admin
from api.http.auth import Credentials, LoopbackOnly
from api.intake.run_access import RunAccess
from api.monitor.actions import Actions
from api.monitor.list_pages import AuditPage, QueuePage, SessionsPage, WorkersPage
from api.monitor.live_views import LiveViews
from api.monitor.login import PATH, login_of
from api.monitor.monitor_page import MonitorPage
from api.monitor.overview_page import Overview
from api.monitor.rendering import Templates
from api.monitor.run_list_pages import FailedPage, RunsPage
from api.monitor.run_page import RunDetailPage
from api.monitor.site import Handler, Site, html_handler
from shared.log.event_log import EventLog
from shared.observe.supervision import Beat

_FILES = StaticFiles(directory=Path(__file__).parent / "static")


@dataclass(frozen=True)
class Monitor:
    """The page's routes, the loop that refreshes its live parts, and the function that ends its streams."""

    routes: list[Route]
    look_forever: Callable[[Beat], Awaitable[None]]
    end: Callable[[], None]


def monitor(authenticator: Credentials | LoopbackOnly, admin: Admin, access: RunAccess, events: EventLog) -> Monitor:
    live = LiveViews()
    pages: dict[str, MonitorPage] = {
        PATH: Overview(admin.stats, admin.workers, admin.queue, admin.runs, events),
        f"{PATH}/runs": RunsPage(admin.runs),
        f"{PATH}/failed": FailedPage(admin.runs),
        f"{PATH}/sessions": SessionsPage(admin.sessions),
        f"{PATH}/workers": WorkersPage(admin.workers),
        f"{PATH}/queue": QueuePage(admin.queue),
        f"{PATH}/audit": AuditPage(admin.audit),
    }
    site = Site(login_of(authenticator), Templates(), live, access, events, pages, RunDetailPage(admin.runs, events))

    def get(path: str, handler: Handler) -> Route:
        return Route(f"{PATH}{path}", html_handler(handler, site), methods=["GET"])

    def post(path: str, handler: Handler) -> Route:
        return Route(f"{PATH}{path}", html_handler(handler, site), methods=["POST"])

    routes: list[Route] = [
        *(get(path.removeprefix(PATH), site.show) for path in pages),
        get("/runs/{run_id}", site.show),
        get("/live", site.stream),
        get("/login", site.ask_token),
        post("/login", site.log_in),
        post("/logout", site.log_out),
        *(post(path, site.act(act)) for path, act in Actions(admin).by_path.items()),
        get("/static/{name}", _static),
    ]
    return Monitor(routes, live.look_forever, live.end)


async def _static(request: Request) -> Response:
    response = await _FILES.get_response(request.path_params["name"], request.scope)
    response.headers["Cache-Control"] = "no-cache"  # a browser checks each time; the file is sent when it has changed
    return response
