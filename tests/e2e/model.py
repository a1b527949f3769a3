"""A model behind an OpenAI-compatible API for the whole service, and an agents.toml that points at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anyio.from_thread import start_blocking_portal

from tests.worker.agents.upstream import Upstream, upstream

KEY = "sk-the-models-own-key"

_AGENTS = """
[agents.main]
kind = "openai"
base_url = "{url}"
model = "m-1"
api_key_env = "MODEL_KEY"
max_retries = 0

[agents.mirror]
kind = "python"
entry = "tests.e2e.agents:mirror"
"""


@contextmanager
def answering() -> Iterator[Upstream]:
    """A model that serves in a thread of its own, because the tests of the service do not run in an event loop."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(upstream()) as model:
        yield model


def settings_for(model: Upstream, folder: Path) -> dict[str, str]:
    """The settings of a service whose agent `main` is this model."""
    agents = folder / "agents.toml"
    agents.write_text(_AGENTS.format(url=model.url))
    return {"AGENTS_FILE": str(agents), "MODEL_KEY": KEY}
