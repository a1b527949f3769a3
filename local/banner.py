"""What is printed once the service is ready: all that a first answer takes, to be copied as it stands."""

import json
import shlex

MODEL = "main"
GREETING = "Say hello"


def banner(url: str, token: str | None) -> str:
    """`token` is None when any value will do (`AUTH=none`)."""
    return f"""
runrelay is ready: {url}

With curl:

{curl(url, token)}

With Python (.venv/bin/python has the package openai):

{snippet(url, token)}
Ctrl-C stops it.
"""


def curl(url: str, token: str | None) -> str:
    """One line for a shell."""
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": GREETING}]}
    headers = ["-H", "Content-Type: application/json"]
    if token is not None:
        headers += ["-H", f"Authorization: Bearer {token}"]
    return shlex.join(["curl", "-N", f"{url}/v1/chat/completions", *headers, "-d", json.dumps(body)])


def snippet(url: str, token: str | None) -> str:
    """Some lines for Python, at a prompt or in a file."""
    return f"""\
from openai import OpenAI
client = OpenAI(base_url="{url}/v1", api_key="{token or "none"}")
messages = [{{"role": "user", "content": "{GREETING}"}}]
for chunk in client.chat.completions.create(model="{MODEL}", messages=messages, stream=True):
    print(chunk.choices[0].delta.content or "", end="", flush=True)
"""
