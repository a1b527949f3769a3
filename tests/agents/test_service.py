"""The real CLIs behind the whole service, with the official OpenAI client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest

from tests.agents.clis import BEFORE, CLIS, HELLO, NOTE, REFUSED_KEY, settled_in
from tests.e2e.service import ALICE, started
from worker.agents.command.warm.driver_registry import DRIVERS

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Served:
    client: openai.OpenAI
    work: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, model: str) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("agents")
    with started(folder, settings=settled_in(folder, model, warm=DRIVERS)) as service:
        client = openai.OpenAI(base_url=f"{service.url}/v1", api_key=ALICE, max_retries=0, timeout=200)
        yield Served(client, folder / "work")


def user_message(message: str) -> list[openai.types.chat.ChatCompletionMessageParam]:
    return [{"role": "user", "content": message}]


@pytest.mark.parametrize("agent", CLIS)
def test_a_whole_answer(served: Served, agent: str) -> None:
    answer = served.client.chat.completions.create(model=agent, messages=user_message(HELLO))
    assert answer.choices[0].message.content == "Hello from the model, said in several pieces."
    assert answer.usage
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (12, 9)


@pytest.mark.parametrize("agent", CLIS)
def test_a_stream_and_a_tool(served: Served, agent: str) -> None:
    stream = served.client.chat.completions.create(model=agent, messages=user_message(NOTE), stream=True)
    answer = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert answer.endswith("The note is written.")
    assert (served.work / agent / "note.txt").read_text().strip() == "from the agent"


@pytest.mark.parametrize("agent", DRIVERS)
def test_a_warm_agent_goes_on(served: Served, agent: str) -> None:
    """It continues the CLI's own conversation: the model would answer a transcript in the prompt with another text."""

    def ask(message: str) -> str | None:
        answer = served.client.chat.completions.create(
            model=f"{agent}-warm", messages=user_message(message), user="ann"
        )
        return answer.choices[0].message.content

    assert ask(HELLO) == "Hello from the model, said in several pieces."
    assert ask(BEFORE) == "Hello was said."
    assert ask(BEFORE) == "Hello was said."


@pytest.mark.parametrize("agent", ["claude", "codex"])
def test_a_failure(served: Served, agent: str) -> None:
    with pytest.raises(openai.APIStatusError) as failed:
        served.client.chat.completions.create(model=agent, messages=user_message(REFUSED_KEY))
    assert failed.value.code == "upstream_error"
    assert "refused this service's credentials" in failed.value.message
