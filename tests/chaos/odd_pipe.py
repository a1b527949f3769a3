"""A worker that is as it should be, except for the pipe by which it reads and writes Redis."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack, aclosing

import anyio
from prometheus_client import CollectorRegistry

from shared.redis.client import open_redis
from shared.redis.pipe import CONNECTIONS, Pipe, Pipes
from shared.settings import Settings
from worker.agents.config import load_agents
from worker.agents.opening import open_agents
from worker.assembly import Connections, assemble
from worker.status_server import StatusServer, status_sockets
from worker.worker_metrics import WorkerMetrics


async def work(settings: Settings, pipe_type: type[Pipe]) -> None:
    configs = load_agents(settings.agents_file, required=True)
    async with AsyncExitStack() as stack:
        agents = await stack.enter_async_context(open_agents(configs, os.environ))
        redis = await stack.enter_async_context(open_redis(settings.redis_url, max_connections=CONNECTIONS))
        pipe = await stack.enter_async_context(aclosing(pipe_type(redis)))
        bell = await stack.enter_async_context(open_redis(settings.redis_url))
        control = await stack.enter_async_context(open_redis(settings.redis_url, socket_timeout=None))
        metrics = WorkerMetrics(CollectorRegistry(), agents=configs)
        assembled = assemble(settings, configs, agents, Connections(Pipes(pipe, pipe), bell, control), metrics)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, assembled.worker.handle_sig, number)
        status = StatusServer(metrics.registry, token="", stalled=assembled.supervisor.stalled)
        async with anyio.create_task_group() as beside:
            beside.start_soon(status.serve, status_sockets(settings))
            await assembled.run()
            beside.cancel_scope.cancel()
