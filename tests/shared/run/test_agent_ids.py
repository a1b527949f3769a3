from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.run.agent_ids import RequestedAgent, normalise_agent_id, requested_agent

LEGAL = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
NONE_SERVED: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    ("raw", "agent_id"),
    [
        ("beta", "beta"),
        ("BETA", "beta"),
        (" \ufeffbeta\u2003", "beta"),
        ("", "main"),
        (" \t", "main"),
        ("a_b-c", "a_b-c"),
        ("a-", "a-"),
        ("0", "0"),
        ("my agent", "my-agent"),
        ("my / : agent!", "my-agent"),
        ("--beta--", "beta"),
        ("!!!", "main"),
        ("---", "main"),
        ("_private", "private"),
        ("-_-x", "x"),
        ("trailing_", "trailing_"),
        ("über", "ber"),
        ("\u212aelvin", "kelvin"),  # the Kelvin sign, whose lower case is an ASCII k
        ("İstanbul", "i-stanbul"),
        ("agent\u0085", "agent"),
        ("agent\nx", "agent-x"),
        ("x" * 64, "x" * 64),
        ("x" * 65, "x" * 64),
        ("x" * 63 + "!y", "x" * 63),
        ("٣", "main"),  # a digit, but not an ASCII one
        ("../../etc/passwd", "etc-passwd"),
    ],
)
def test_normalises(raw: str, agent_id: str) -> None:
    assert normalise_agent_id(raw) == agent_id


@given(st.text() | st.text("aZ09_- !\u212a\ufeff", max_size=80))
def test_what_it_makes_is_legal_and_stays_what_it_is(raw: str) -> None:
    agent_id = normalise_agent_id(raw)
    assert LEGAL.fullmatch(agent_id)
    assert normalise_agent_id(agent_id) == agent_id


@pytest.mark.parametrize(
    ("model", "agent_id"),
    [
        ("clawdbot:beta", "beta"),
        ("clawdbot/beta", "beta"),
        ("openclaw:beta", "beta"),
        ("OpenClaw/Beta", "beta"),
        ("AGENT:beta", "beta"),
        (" agent:beta ", "beta"),
        ("agent:main", "main"),
    ],
)
def test_a_model_may_name_an_agent(model: str, agent_id: str) -> None:
    assert requested_agent(None, model, NONE_SERVED) == RequestedAgent(agent_id, explicit=True)


@pytest.mark.parametrize(
    "model",
    [
        None,
        "",
        "gpt-4o",
        "clawdbot",
        "agent/beta",
        "clawdbot:",
        "clawdbot:-beta",
        "clawdbot:a b",
        "clawdbot:beta:x",
        "x clawdbot:beta",
        "agent:" + "x" * 65,
        "agent:\u212aelvin",
        "beta ",
        "BETA",
        "*",
    ],
)
def test_any_other_model_means_the_default(model: str | None) -> None:
    assert requested_agent(None, model, {"beta", "*", ""}) == RequestedAgent("main", explicit=False)


def test_a_model_that_is_exactly_a_served_agent_names_it() -> None:
    assert requested_agent(None, "beta", {"beta"}) == RequestedAgent("beta", explicit=True)


def test_a_header_beats_the_model() -> None:
    assert requested_agent("Gamma !", "agent:beta", {"beta"}) == RequestedAgent("gamma", explicit=True)


@pytest.mark.parametrize("blank", [None, "", " ", "\ufeff"])
def test_a_blank_header_is_none(blank: str | None) -> None:
    assert requested_agent(blank, "agent:beta", NONE_SERVED) == RequestedAgent("beta", explicit=True)
