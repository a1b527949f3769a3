"""Agents of known frameworks, from an OpenAI client to the framework and back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from openai import OpenAI

from tests.e2e.asking import authorised
from tests.e2e.process import ROOT
from tests.e2e.service import ALICE, Service, started


@pytest.fixture(scope="module")
def frameworks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"AGENTS_FILE": str(ROOT / "tests/e2e/frameworks.toml")}
    with started(tmp_path_factory.mktemp("frameworks"), settings=settings) as service:
        yield service


@pytest.mark.parametrize("agent", ["pydantic-ai", "openai-agents", "langgraph"])
def test_an_agent_of_a_framework_answers_with_its_tools_and_tokens(frameworks: Service, agent: str) -> None:
    with OpenAI(base_url=f"{frameworks.url}/v1", api_key=ALICE) as client:
        chunks = list(
            client.chat.completions.create(
                model=agent,
                messages=[{"role": "user", "content": "Roll!"}],
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "It is 4 of 6."
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert min(usage.prompt_tokens, usage.completion_tokens) > 0
    start, result = tools(frameworks, chunks[0].id)
    assert (start["phase"], start["name"], start["toolCallId"], start["args"]) == ("start", "roll", "1", {"sides": 6})
    assert (result["phase"], result["name"], result["result"]) == ("result", "roll", "4 of 6")


def tools(service: Service, run_id: str) -> list[dict[str, object]]:
    """The tool events of a run."""
    received = httpx.get(f"{service.url}/v1/runs/{run_id}/events", headers=authorised()).text
    events = [json.loads(line.removeprefix("data: ")) for line in received.splitlines() if line.startswith("data: {")]
    return [event["data"] for event in events if event["stream"] == "tool"]
