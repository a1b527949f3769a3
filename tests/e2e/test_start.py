"""A start that cannot succeed prints the reason in one line. A service without tokens refuses other sites."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from tests.e2e.asking import CHAT, asked, content
from tests.e2e.process import COMMANDS, ROOT, environment
from tests.e2e.service import SETTINGS, Service, started


def refused(kind: str, settings: Mapping[str, str]) -> list[str]:
    """The output of a process of the Procfile that does not start, in lines."""
    done = subprocess.run(
        ["/bin/sh", "-c", COMMANDS[kind]],
        cwd=ROOT,
        env=environment({**SETTINGS, **settings}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    return done.stderr.splitlines()


# --- settings ---------------------------------------------------------------------------------------------------------

WRONG = [
    ("PORT", "http", "integer"),
    ("AUTH", "maybe", "'token' or 'none'"),
    ("LOG_FORMAT", "xml", "'text' or 'json'"),
    ("MAX_BODY_BYTES", "1", "1024"),
    ("LEASE_SECONDS", "0", "1"),
    ("NAMESPACE", "a b", "A-Za-z0-9_-"),
    ("WORKER_CONCURRENCY", "many", "integer"),
    ("RETENTION_SECONDS", "nan", "60"),
]
SECRETS = [
    ("API_TOKENS", "s3cret", "name:token"),
    ("REDIS_URL", "http://:s3cret@host", "redis://"),
    ("EVENTS_REDIS_URL", "redis://:s3cret@host:port", "Port"),
]


@pytest.mark.parametrize("kind", ["web", "worker"])
def test_each_wrong_setting_is_one_line_with_its_name_its_value_and_what_is_allowed(kind: str) -> None:
    lines = refused(kind, {name: value for name, value, _ in WRONG})
    lines[0] = lines[0].removeprefix("runrelay: ")
    for name, value, allowed in WRONG:
        (line,) = (line for line in lines if line.startswith(f"{name}='{value}': "))
        assert allowed in line
    assert len(lines) == len(WRONG)


def test_a_wrong_setting_that_holds_a_secret_is_not_shown() -> None:
    lines = refused("web", {name: value for name, value, _ in SECRETS})
    lines[0] = lines[0].removeprefix("runrelay: ")
    for name, _, allowed in SECRETS:
        (line,) = (line for line in lines if line.startswith(f"{name}=(not shown): "))
        assert allowed in line
    assert not [line for line in lines if "s3cret" in line]


def test_a_service_without_credentials_does_not_start() -> None:
    nobody = {"API_TOKENS": "", "CLAWDBOT_GATEWAY_TOKEN": "", "CLAWDBOT_GATEWAY_PASSWORD": ""}
    (line,) = refused("web", nobody)
    assert "API_TOKENS" in line
    assert "AUTH=none" in line


@pytest.mark.parametrize("host", ["0.0.0.0", "example.com"])  # noqa: S104 - refused
def test_without_a_token_only_a_loopback_address_is_bound(host: str) -> None:
    (line,) = refused("web", {"AUTH": "none", "HOST": host})
    assert line.startswith(f"runrelay: HOST='{host}': with AUTH=none ")
    assert "127.0.0.1" in line


def test_a_port_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert refused("web", {"PORT": str(port)}) == [
            f"runrelay: HOST='127.0.0.1', PORT={port}: cannot listen there: Address already in use"
        ]


def test_an_address_of_another_machine_is_one_line() -> None:
    (line,) = refused("web", {"HOST": "192.0.2.1"})
    assert line.startswith("runrelay: HOST='192.0.2.1', PORT=8000: cannot listen there: ")


# --- agents.toml ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("[agents.main", "is not TOML"),
        ("[agents.main]\nkind = 'command'\ncomand = ['x']", "did you mean command?"),
        ("[agents.main]\nkind = 'command'\ncommand = ['no-such-program-here']", "no executable 'no-such-program-here'"),
        ("[agents.main]\nkind = 'python'\nentry = 'no_such_module:reply'", "no_such_module:reply cannot be imported"),
        (
            "[agents.main]\nkind = 'openai'\nbase_url = 'http://x/v1'\nmodel = 'm'\napi_key_env = 'NO_SUCH_KEY'",
            "NO_SUCH_KEY is not set",
        ),
    ],
)
def test_a_broken_agents_file_is_one_line(tmp_path: Path, written: str, expected: str) -> None:
    (tmp_path / "agents.toml").write_text(written)
    (line,) = refused("worker", {"AGENTS_FILE": str(tmp_path / "agents.toml")})
    assert line.startswith("runrelay: ")
    assert expected in line


def test_an_agents_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    (line,) = refused("worker", {"AGENTS_FILE": str(tmp_path / "agents.toml")})
    assert line == f"runrelay: {tmp_path / 'agents.toml'}: no such file"


# --- AUTH=none --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def open_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"AUTH": "none", "HOST": "", "LOG_FORMAT": "json"}
    with started(tmp_path_factory.mktemp("open_door"), settings=settings) as service:
        yield service


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer whatever"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://127.0.0.1:5173", "Sec-Fetch-Site": "same-site"},
        {"Host": "localhost"},
        {"Host": "[::1]:8000"},
    ],
)
def test_without_a_token_programs_of_this_machine_are_answered(open_door: Service, headers: dict[str, str]) -> None:
    assert content(httpx.post(open_door.url + CHAT, json=asked("Hi", "echo"), headers=headers)) == "Hi"
    assert httpx.get(f"{open_door.url}/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example:8000"},
        {"Host": "169.254.169.254"},
        {"Host": ""},
    ],
)
def test_without_a_token_what_a_page_of_another_site_could_send_is_refused(
    open_door: Service, headers: dict[str, str]
) -> None:
    for answer in (
        httpx.post(open_door.url + CHAT, json=asked("Hi", "echo"), headers=headers),
        httpx.get(f"{open_door.url}/v1/models", headers=headers),
    ):
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "forbidden")
        assert "access-control-allow-origin" not in answer.headers


def test_logs_for_machines_are_one_object_a_line(open_door: Service) -> None:
    assert content(httpx.post(open_door.url + CHAT, json=asked("Hi", "echo"))) == "Hi"
    for process in (*open_door.webs, *open_door.workers):
        events = [json.loads(line) for line in process.output.splitlines()]
        assert {event["role"] for event in events} <= {process.name.partition("-")[0]}
    assert "run.ended" in open_door.workers[0].output
