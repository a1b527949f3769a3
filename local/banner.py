"""What is printed once the service is ready: all that a first answer takes, to be copied as it stands."""

import json
import shlex
from collections.abc import Sequence

from worker.agents.discovery import DiscoveredAgent

GREETING = "Say hello"


def banner(url: str, token: str | None, agent: str, found: Sequence[DiscoveredAgent]) -> str:
    """`token` is None when any value will do (`AUTH=none`). `agent` is whom to ask first."""
    return f"""
runrelay is ready: {url}
{agents(found)}
To look after it: .venv/bin/runrelay top (or --help)

With curl:

{curl(url, token, agent)}

With Python (.venv/bin/python has the package openai):

{snippet(url, token, agent)}
Ctrl-C stops it.
"""


def agents(found: Sequence[DiscoveredAgent]) -> str:
    """What is served when nobody has said it, and how to say it."""
    if not found:
        return ""
    width = max(len(one.agent_id) for one in found)
    lines = "\n".join(f"  {one.agent_id:{width}}  {one}" for one in found)
    return f"""
There is no agents.toml, so it serves what it has found:

{lines}

Agents of your own: cp agents.example.toml agents.toml, edit it, and start again.
"""


def curl(url: str, token: str | None, agent: str) -> str:
    """One line for a shell."""
    body = {"model": agent, "stream": True, "messages": [{"role": "user", "content": GREETING}]}
    headers = ["-H", "Content-Type: application/json"]
    if token is not None:
        headers += ["-H", f"Authorization: Bearer {token}"]
    return shlex.join(["curl", "-N", f"{url}/v1/chat/completions", *headers, "-d", json.dumps(body)])


def snippet(url: str, token: str | None, agent: str) -> str:
    """Some lines for Python, at a prompt or in a file."""
    return f"""\
from openai import OpenAI
client = OpenAI(base_url="{url}/v1", api_key="{token or "none"}")
messages = [{{"role": "user", "content": "{GREETING}"}}]
for chunk in client.chat.completions.create(model="{agent}", messages=messages, stream=True):
    print(chunk.choices[0].delta.content or "", end="", flush=True)
"""
