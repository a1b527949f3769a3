from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import ServerSentEvent, SSEDecoder

from api.http import sse
from api.http.json_value import compact


def decoded(*packets: bytes) -> Iterator[ServerSentEvent]:
    return SSEDecoder().iter_bytes(iter(packets))


@given(st.text() | st.text("\r\n\u2028\u2029\u0085:[]DONEdata "))
def test_any_json_is_one_event(text: str) -> None:
    payload = compact(text)
    [event] = decoded(sse.data(payload))
    assert event.data == payload.decode()


def test_an_event_cut_anywhere_is_the_same_event() -> None:
    frame = sse.data(compact("a\r\nb\u2028"))
    for cut in range(len(frame)):
        [event] = decoded(frame[:cut], frame[cut:])
        assert event.json() == "a\r\nb\u2028"


def test_a_comment_is_no_event() -> None:
    assert list(decoded(sse.comment("keep-alive"))) == []
    [event] = decoded(sse.data(b"1"), sse.comment("keep-alive"))
    assert (event.data, event.id, event.retry) == ("1", None, None)


def test_the_end_is_what_openai_says_at_the_end() -> None:
    assert sse.DONE == b"data: [DONE]\n\n"
