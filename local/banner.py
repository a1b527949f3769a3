"""What `make run` prints once the service is ready: all that a first answer takes, at the left margin to be copied."""

from pathlib import Path

from jinja2 import Template

from worker.agents.discovery import Served


def banner(url: str, token: str | None, served: Served) -> str:
    """`token` is None when the API accepts any value. Agents are listed only when no agents.toml names them."""
    width = max((len(one.agent_id) for one in served.found), default=0)
    # Nothing is quoted: no url, token or agent id has a character that a shell or Python reads otherwise.
    text = Path(__file__).with_name("banner.txt").read_text()
    template: Template = Template(text, trim_blocks=True, keep_trailing_newline=True)
    return template.render(url=url, token=token, agent=served.suggested, found=served.found, width=width)
