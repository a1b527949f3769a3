"""The programs that the Procfile of a test starts in place of the service: `python stand_in.py <kind>`"""

import http.server
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

AGENT_STARTED = Path("agent.started")


class Web(http.server.BaseHTTPRequestHandler):
    """Answers with its own environment. Ready at once, or as soon as the worker has started its agent."""

    wait_for_agent = False

    def do_GET(self) -> None:
        body = json.dumps(dict(os.environ)).encode()
        self.send_response(503 if self.wait_for_agent and not AGENT_STARTED.exists() else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def web_waiting_for_agent() -> None:
    Web.wait_for_agent = True
    web()


def web() -> None:
    address = (os.environ["HOST"], int(os.environ["PORT"]))
    http.server.ThreadingHTTPServer(address, Web).serve_forever()


def worker() -> None:
    while True:
        time.sleep(1)


def stubborn() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    worker()


def handing_back() -> None:
    """Needs half a second and Redis to stop."""
    from redis import Redis

    def hand_back(*_: object) -> None:
        time.sleep(0.5)
        with Redis.from_url(os.environ["REDIS_URL"]) as redis:
            print("handed back:", redis.ping())
        sys.exit()

    signal.signal(signal.SIGTERM, hand_back)
    AGENT_STARTED.touch()
    worker()


def with_agent() -> None:
    """Its agent has a process group and a mark of its own, and holds the worker's output open."""
    from worker.agents.command.orphans import new_mark
    from worker.agents.command.process_family import MARK

    with_offspring({**os.environ, MARK: new_mark()})


def with_offspring(environment: Mapping[str, str] = os.environ) -> None:
    subprocess.Popen([sys.executable, __file__, "stubborn"], env=environment, start_new_session=True)
    AGENT_STARTED.touch()
    worker()


KINDS = (web, web_waiting_for_agent, worker, stubborn, handing_back, with_agent, with_offspring)

if __name__ == "__main__":
    {kind.__name__: kind for kind in KINDS}[sys.argv[1]]()
