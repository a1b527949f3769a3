from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shared.run.errors import SettingsError
from worker.agents.python.frameworks.known import adapted, missing
from worker.agents.python.python_agent import imported

FRAMEWORKS = "{'pydantic_ai', 'agents', 'langgraph', 'langchain_core'}"


class Agent:
    """A user's own class, with the same name as the classes of the frameworks."""

    def __call__(self) -> None: ...


@pytest.mark.parametrize("found", [Agent(), Agent, len, "text", None])
def test_what_is_of_no_framework_stays_what_it_is(found: object) -> None:
    assert adapted(found) is None


@pytest.mark.slow
def test_no_framework_is_imported_before_an_agent_of_it_is_served() -> None:
    source = f"import sys, worker.agents.opening, worker.agents.python; sys.exit(str(set(sys.modules) & {FRAMEWORKS}))"
    done = subprocess.run([sys.executable, "-c", source], cwd=Path(), capture_output=True, text=True)
    assert done.stderr.strip() == "set()"


def test_an_extra_that_is_not_installed_is_named_in_one_line() -> None:
    with pytest.raises(SettingsError) as wrong:
        imported("tests.worker.agents.python.frameworks.no_extra:graph")
    assert str(wrong.value) == (
        "entry: tests.worker.agents.python.frameworks.no_extra:graph cannot be imported: No module named 'langgraph'; "
        "install the extra langgraph: pip install '.[langgraph]'"
    )


@pytest.mark.parametrize(
    ("error", "extra"),
    [
        (ModuleNotFoundError(name="pydantic_ai.agent"), "pydantic-ai"),
        (ModuleNotFoundError(name="agents"), "openai-agents"),
        (ModuleNotFoundError(name="agents_of_ours"), ""),
        (ImportError("without a name"), ""),
        (AttributeError(name="agents"), ""),
    ],
)
def test_only_a_framework_that_is_missing_is_said_to_be(error: Exception, extra: str) -> None:
    assert missing(error) == (f"; install the extra {extra}: pip install '.[{extra}]'" if extra else "")
