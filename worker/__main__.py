"""`python -m worker`: reads the environment, opens the connections and agents of a worker, and serves the agents until
a signal stops the process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack

import anyio
import structlog
import uvloop
from prometheus_client import CollectorRegistry

from shared.observe.garbage import freeze_startup_objects
from shared.observe.logging import configure_logging, log_errors_of
from shared.observe.service_manager import STOPPING, ServiceManager
from shared.observe.supervision import ending_in_words
from shared.observe.tracing import Tracer, tracing
from shared.redis.client import closed_in_time, open_redis
from shared.redis.pipe import open_pipes
from shared.redis.startup import check_redis
from shared.settings import Settings, near_misses, read_settings
from worker.agents.command.orphans import worker_mark
from worker.agents.discovery import served_agents
from worker.agents.kinds import AgentConfig
from worker.agents.opening import open_agents
from worker.assembly import Assembled, Connections, assemble
from worker.guardian import LedgerPlace, with_guardian
from worker.status_server import StatusServer, status_sockets
from worker.worker_metrics import WorkerMetrics

logger = structlog.get_logger()

CLOSE_SECONDS = 0.5  # for the connections to Redis, which may be away


async def work(
    settings: Settings,
    configs: Mapping[str, AgentConfig],
    environment: Mapping[str, str],
    bound: list[socket.socket],
    tracer: Tracer | None,
    manager: ServiceManager,
) -> None:
    """Runs the worker and serves its metrics on `bound`. Raises SettingsError when an agent cannot be opened."""
    log_errors_of(asyncio.get_running_loop())
    await check_redis(REDIS_URL=settings.redis_url, EVENTS_REDIS_URL=settings.events_redis_url)
    metrics = WorkerMetrics(CollectorRegistry(), agents=configs)
    async with AsyncExitStack() as stack:
        # First, so that the guardian outlives every command: agents may start commands when they are opened.
        guardian = stack.enter_context(
            with_guardian(worker_mark(), LedgerPlace(settings.redis_url, settings.namespace))
        )
        agents = await stack.enter_async_context(open_agents(configs, environment))
        opened = await stack.enter_async_context(closed_in_time(CLOSE_SECONDS))
        pipes = await opened.enter_async_context(
            open_pipes(settings.redis_url, settings.events_url, instrumentation=metrics)
        )
        bell = await opened.enter_async_context(open_redis(settings.redis_url))
        control = await opened.enter_async_context(open_redis(settings.redis_url, socket_timeout=None))
        assembled = assemble(settings, configs, agents, Connections(pipes, bell, control), metrics, tracer, guardian)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, _stop, assembled, manager, number)
        freeze_startup_objects()
        status = StatusServer(metrics.registry, token=settings.metrics_token, stalled=assembled.supervisor.stalled)
        async with anyio.create_task_group() as beside:
            if bound:
                beside.start_soon(status.serve, bound)
            beside.start_soon(manager.tell_forever, assembled.supervisor)
            await assembled.run()
            beside.cancel_scope.cancel()


def _stop(assembled: Assembled, manager: ServiceManager, number: signal.Signals) -> None:
    manager.tell(STOPPING)
    assembled.worker.handle_sig(number)


def main() -> None:
    with ending_in_words():
        settings = read_settings(os.environ)
        served = served_agents(settings.agents_file, required="AGENTS_FILE" in os.environ, environment=os.environ)
        bound = status_sockets(settings)
        configure_logging(settings.log_format, content=settings.log_content, role="worker")
        for miss in near_misses(os.environ):
            logger.warning("setting.unknown", why=miss)
        for one in served.found:
            logger.info("agent.found", agent=one.agent_id, what=one.config.description, why=one.why)
        with tracing(os.environ, "worker") as tracer:
            uvloop.run(work(settings, served.configs, os.environ, bound, tracer, ServiceManager(os.environ)))


if __name__ == "__main__":
    main()
