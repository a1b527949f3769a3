from __future__ import annotations

import pytest

from shared.run.errors import ErrorCode
from worker.agents.model_refusal import (
    LIMITED,
    NO_CREDENTIALS,
    NO_MODEL,
    NO_TIME,
    TOO_LONG,
    Refusal,
    refusal,
    without_secrets,
)


@pytest.mark.parametrize(
    ("status", "words", "expected"),
    [
        (0, "", None),
        (200, "fine", None),
        (401, "", NO_CREDENTIALS),
        (403, "", NO_CREDENTIALS),
        (404, "", NO_MODEL),
        (408, "", NO_TIME),
        (413, "", TOO_LONG),
        (429, "", LIMITED),
        (504, "", NO_TIME),
        (529, "", Refusal(ErrorCode.UPSTREAM_ERROR, "The model's server answered with status 529.")),
        (0, "It ran out of room in the model's context window.", TOO_LONG),
        (400, "prompt is too long: 250000 tokens", TOO_LONG),
    ],
)
def test_by_status_and_words(status: int, words: str, expected: Refusal | None) -> None:
    assert refusal(status, words) == expected


def test_paths_addresses_and_keys_are_left_out() -> None:
    words = "see http://10.0.0.1/v1, /etc/app/config or sk-abcdefghijklmnop and/or try again"
    assert without_secrets(words) == "see … … or … and/or try again"
