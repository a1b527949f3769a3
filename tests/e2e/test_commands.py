"""Agents of kind `command`: real programs, from the request to the answer."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx

from tests.e2e.asking import CHAT, asked, authorised, broken_off, content, frames, stream, streamed
from tests.e2e.service import OLGA, Service


def both(http: httpx.Client, message: str, agent: str) -> list[str]:
    """The whole answer and the streamed one."""
    with stream(http, asked(message, agent)) as received:
        text = streamed(received)
    return [content(http.post(CHAT, json=asked(message, agent))), text]


def test_a_program_reads_the_prompt_and_prints_the_answer(http: httpx.Client) -> None:
    assert both(http, "one two three", "wc") == ["3 words"] * 2


def test_a_program_of_a_few_lines_is_an_agent(http: httpx.Client) -> None:
    """Chat clients get its messages and usage; its tools and reasoning are for readers of the run's events."""
    for text in both(http, "Roll!", "dice"):
        assert re.fullmatch(r"You said 'Roll!'\. Let me roll\.\n\nIt is a [1-6]\.", text)
    answer = http.post(CHAT, json=asked("Roll!", "dice")).json()
    assert answer["usage"] == {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21}


def test_json_input_is_one_line_with_these_names(http: httpx.Client) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "one\ntwo"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "three"},
    ]
    body = {**asked("", "cat-json"), "messages": messages}
    answer = http.post(CHAT, json=body)
    line = content(answer)
    given = json.loads(line)
    assert line.count("\n") == 1
    assert re.fullmatch(r"agent:cat-json:openai:[0-9a-f-]{36}", given.pop("sessionKey"))
    assert given == {
        "message": "three",
        "extraSystemPrompt": "Be brief.",
        "history": [{"role": "user", "content": "one\ntwo"}, {"role": "assistant", "content": "1"}],
        "runId": answer.headers["x-run-id"],
        "agentId": "cat-json",
    }


def test_a_prompt_as_argument_is_one_argument_whatever_it_holds(http: httpx.Client) -> None:
    nasty = "$(touch x); `id` && 'a' \"b\" \\ * \n --help -rf"
    assert both(http, nasty, "argument") == [json.dumps([nasty])] * 2


def test_a_program_gets_the_allowed_environment_and_no_more(http: httpx.Client) -> None:
    answer = http.post(CHAT, json=asked("Hi", "environment"), headers={"x-session-key": "agent:environment:e2e"})
    got = json.loads(content(answer))
    assert {"PATH", "RUNRELAY_RUN_ID", "RUNRELAY_SESSION_KEY", "RUNRELAY_AGENT_ID"} <= set(got)
    assert got["RUNRELAY_RUN_ID"] == answer.headers["x-run-id"]
    assert (got["RUNRELAY_SESSION_KEY"], got["RUNRELAY_AGENT_ID"]) == ("agent:environment:e2e", "environment")
    assert not {"REDIS_URL", "API_TOKENS", "CLAWDBOT_GATEWAY_TOKEN", "HOME"} & set(got)


def test_a_session_has_a_directory_of_its_own(http: httpx.Client) -> None:
    def folder(session: str) -> Path:
        headers = {"x-session-key": f"agent:folder:{session}"}
        return Path(content(http.post(CHAT, json=asked("Hi", "folder"), headers=headers)))

    assert folder("e2e-1") == folder("e2e-1") != folder("e2e-2")


def test_utf8_that_is_cut_anywhere_arrives_whole(http: httpx.Client) -> None:
    assert both(http, "Hi", "drips") == ["äöü 😀 \u2028"] * 2


def test_an_exit_code_fails_the_run_and_stderr_stays_inside(http: httpx.Client, service: Service) -> None:
    whole = http.post(CHAT, json=asked("Hi", "exits"))
    with stream(http, asked("Hi", "exits")) as received:
        errors = [whole.json()["error"], broken_off(received)]
    assert whole.status_code == 500
    for error in errors:
        assert error["code"] == "agent_failed"
        assert "code 3" in error["message"]
        assert "secret" not in json.dumps(error)
    assert "the password is in" not in service.workers[0].output
    shown = http.get(f"/v1/admin/runs/{whole.headers['x-run-id']}", headers=authorised(OLGA)).json()
    assert "the password is in /etc/secret/file" in json.dumps(shown)


def test_what_is_no_json_line_breaks_the_format(http: httpx.Client) -> None:
    answer = http.post(CHAT, json=asked("Hi", "babbles"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "agent_protocol_error")
    assert "no JSON" not in answer.text


def test_a_program_that_takes_too_long_is_ended(http: httpx.Client) -> None:
    answer = http.post(CHAT, json=asked("Hi", "sleeps"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "run_timeout")


def test_a_program_that_uses_too_much_is_ended_and_the_client_reads_why(http: httpx.Client) -> None:
    answer = http.post(CHAT, json=asked("Hi", "burns"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "agent_failed")
    assert "used more than 1 s of CPU time" in answer.json()["error"]["message"]


def test_a_program_that_says_nothing_has_an_answer(http: httpx.Client) -> None:
    answer = http.post(CHAT, json=asked("Hi", "silent", stream=True))
    assert streamed(frames([answer.content])) == "No response from Clawdbot."
