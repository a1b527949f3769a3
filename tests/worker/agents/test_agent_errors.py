from __future__ import annotations

import pytest

from shared.run.errors import ErrorCode
from worker.agents.agent_errors import agent_error
from worker.agents.model_refusal import LIMITED, NO_CREDENTIALS, TOO_LONG, Refusal

OVERLOADED = Refusal(ErrorCode.UPSTREAM_ERROR, "The model's server answered with status 529.")


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        ("unexpected status 401 Unauthorized: wrong key sk-1234, url: http://10.0.0.1/v1", NO_CREDENTIALS),
        ('[API Error: {"error":{"code":403,"message":"no"}}]', NO_CREDENTIALS),
        ("429 Too many requests", LIMITED),
        ("[API Error: Too many requests] Please wait.", LIMITED),
        ("exceeded retry limit, last status: 429 Too Many Requests", LIMITED),
        ("Authentication failed (provider returned HTTP 401).", NO_CREDENTIALS),
        ("API Error: 529 Overloaded", OVERLOADED),
        ("400 prompt is too long: 250000 tokens", TOO_LONG),
        ("Codex ran out of room in the model's context window.", TOO_LONG),
    ],
)
def test_a_refusal_of_the_models_server_is_told_in_our_words(words: str, refusal: Refusal) -> None:
    failure = agent_error(words)
    assert (failure.code, failure.message, failure.detail) == (refusal.code, refusal.message, words)


def test_a_status_that_is_known_counts() -> None:
    assert agent_error("Slow down, 500 is too many", 429).message == LIMITED.message


@pytest.mark.parametrize("words", ["I have 401 ideas", "error: 4010 files", "it costs 500"])
def test_a_number_is_no_status(words: str) -> None:
    assert agent_error(words).code is ErrorCode.AGENT_FAILED


def test_other_words_are_shown_without_colours_and_bounded() -> None:
    assert agent_error(" \x1b[31mNo such\x1b[0m model\ud800 ").message == "No such model\ufffd"
    failure = agent_error("a" * 5_000)
    assert (len(failure.message), len(failure.detail)) == (1_000, 2_000)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("Invalid config at /home/ann/.cli/config.json: no model", "Invalid config at …: no model"),
        ("cannot read ~/.cli/auth.json", "cannot read …"),
        ("ENOENT C:\\Users\\ann\\x", "ENOENT C:…"),
        ("no answer from http://10.0.0.1:4000/v1", "no answer from …"),
        ("bad key sk-ant-api03-abcdefghijkl", "bad key …"),
        ("and/or try /login again", "and/or try /login again"),
    ],
)
def test_paths_addresses_and_keys_are_for_operators(words: str, shown: str) -> None:
    failure = agent_error(words)
    assert (failure.message, failure.detail) == (shown, words)


def test_without_words_it_has_failed() -> None:
    assert agent_error("").message == "The agent failed."
