"""Sessions of the real CLIs behind the whole service: a CLI continues its own conversation while it still has it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import openai
import pytest

from tests.agents.clis import CLIS, HELLO, NOTE, RECITE, REFUSED_KEY, Cli, settled_in
from tests.e2e.service import ALICE, started
from worker.agents.command.presets import PRESETS

pytestmark = pytest.mark.timeout(300)

KEEPERS = [cli for cli in CLIS.values() if PRESETS[cli.name].resume]
SAID = "said in several pieces"

keepers = pytest.mark.parametrize("cli", KEEPERS, ids=lambda cli: cli.name)


@dataclass(frozen=True)
class Served:
    client: openai.OpenAI
    http: httpx.Client
    home: Path
    work: Path

    def answer(self, cli: Cli, message: str, *, user: str | None = None) -> tuple[str, str | None]:
        """The answer, and whether the agent continued its own conversation."""
        text, resumed, _ = self.counted(cli, message, user=user)
        return text, resumed

    def counted(self, cli: Cli, message: str, *, user: str | None = None) -> tuple[str, str | None, int]:
        """The answer, whether the agent continued its own conversation, and the total tokens."""
        answer = self.client.chat.completions.create(
            model=cli.name,
            messages=[{"role": "user", "content": message}],
            user=openai.omit if user is None else user,
        )
        run = self.http.get(f"/v1/runs/{answer.id}").raise_for_status().json()
        assert answer.usage
        return answer.choices[0].message.content or "", run["resumed"], answer.usage.total_tokens


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, model: str) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("conversations")
    with (
        started(folder, settings=settled_in(folder, model)) as service,
        httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {ALICE}"}) as http,
        openai.OpenAI(base_url=f"{service.url}/v1", api_key=ALICE, max_retries=0, timeout=200) as client,
    ):
        yield Served(client, http, folder / "home", folder / "work")


@keepers
def test_a_session_goes_on_in_the_clis_own_conversation_and_without_it_by_the_transcript(
    served: Served, cli: Cli
) -> None:
    """The model recites its input: the role and the text of each message."""
    assert served.answer(cli, HELLO, user="ann")[1] == "no"
    expected = f"user: {HELLO}; assistant: {SAID}; user: {RECITE}"
    assert served.counted(cli, RECITE, user="ann") == (expected, "yes", 55)
    shutil.rmtree(served.home / cli.keeps_in)
    recital, resumed = served.answer(cli, RECITE, user="ann")
    assert resumed == "fell_back"
    assert recital.startswith(f"user: {HELLO}, {SAID}, {RECITE}, ")
    assert served.answer(cli, HELLO, user="ann")[1] == "yes"


@keepers
def test_it_still_uses_its_tools_when_it_goes_on(served: Served, cli: Cli) -> None:
    served.answer(cli, HELLO, user="bob")
    answer, resumed = served.answer(cli, NOTE, user="bob")
    assert answer.endswith("The note is written.")
    assert resumed == "yes"
    assert (served.work / cli.name / "note.txt").read_text().strip() == "from the agent"


@keepers
def test_what_a_failed_run_has_left_is_not_gone_on_from(served: Served, cli: Cli) -> None:
    served.answer(cli, HELLO, user="eve")
    with pytest.raises(openai.APIStatusError):
        served.answer(cli, REFUSED_KEY, user="eve")
    assert served.answer(cli, RECITE, user="eve") == (f"user: {HELLO}, {SAID}, {RECITE}", "no")


@pytest.mark.parametrize("cli", CLIS.values(), ids=lambda cli: cli.name)
def test_a_session_without_a_name_leaves_no_conversation_where_that_can_be_had(served: Served, cli: Cli) -> None:
    secret = f"{HELLO}, and never tell {cli.name}"
    assert served.answer(cli, secret)[1] is None
    if PRESETS[cli.name].forget:
        files = [file for file in (served.home / cli.keeps_in).rglob("*") if file.is_file()]
        assert not [file for file in files if secret.encode() in file.read_bytes()]


def test_openclaw_goes_by_the_transcript(served: Served) -> None:
    served.answer(CLIS["openclaw"], HELLO, user="ann")
    recital, resumed = served.answer(CLIS["openclaw"], RECITE, user="ann")
    assert (recital, resumed) == (f"user: {HELLO}, {SAID}, {RECITE}", "no")
