"""The checks of a request before the API accepts a run, and their order."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.e2e.asking import CHAT, asked, authorised, content, given
from tests.e2e.service import ALICE, Service
from tests.e2e.waiting import PATIENCE_SECONDS

LIMIT = 1_048_576
JSON = "application/json; charset=utf-8"
HI = json.dumps(asked("Hi", "echo")).encode()

UNAUTHORIZED = (401, "Unauthorized", "unauthorized")
TOO_LARGE = (413, "payload too large", "invalid_request_error")
INVALID_JSON = (400, "invalid json", "invalid_request_error")
MISSING = (400, "Missing user message in `messages`.", "invalid_request_error")


def error(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, message and type of an error answer. Fails when the error has other fields than errors have."""
    assert answer.headers["content-type"] == JSON
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) <= {"message", "type", "code", "param"}
    return answer.status_code, body["error"]["message"], body["error"]["type"]


def padded(size: int) -> bytes:
    """A valid request of exactly so many bytes."""
    return HI + b" " * (size - len(HI))


# --- order ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_first_the_exact_path(http: httpx.Client, method: str) -> None:
    answer = http.request(method, CHAT + "/", headers=authorised("wrong"))
    assert (answer.status_code, answer.headers.get("location")) == (404, None)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_then_the_method(http: httpx.Client, method: str) -> None:
    answer = http.request(method, CHAT, headers=authorised("wrong"))
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == ("" if method == "HEAD" else "Method Not Allowed")


@pytest.mark.parametrize("body", [b"x" * (LIMIT + 1), b"no json", b"{}"], ids=["large", "no json", "empty"])
def test_then_the_credential(http: httpx.Client, body: bytes) -> None:
    answer = http.post(CHAT, content=body, headers=authorised("wrong"))
    assert error(answer) == UNAUTHORIZED
    assert answer.headers["www-authenticate"] == "Bearer"
    assert set(answer.json()["error"]) == {"message", "type"}


def test_a_wrong_credential_is_refused_before_the_body_comes(service: Service) -> None:
    assert raw(service, head(1_000, authorization="Bearer wrong")).startswith(b"HTTP/1.1 401 ")


def test_then_the_size_of_the_body(http: httpx.Client) -> None:
    assert error(http.post(CHAT, content=b"x" * (LIMIT + 1))) == TOO_LARGE


def test_then_its_json(http: httpx.Client) -> None:
    assert error(http.post(CHAT, content=b'{"messages": [], "model": "clawdbot:nobody"')) == INVALID_JSON


def test_then_a_user_message(http: httpx.Client) -> None:
    body = {"model": "clawdbot:nobody", "messages": [], "user": "x" * 1_000}
    assert error(http.post(CHAT, json=body)) == MISSING


def test_then_the_agent_and_the_session(http: httpx.Client) -> None:
    nobody = http.post(CHAT, json=asked("Hi", "nobody"))
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (404, "model_not_found")
    illegal = http.post(CHAT, json=asked("Hi", "echo"), headers={"x-clawdbot-session-key": "k" * 257})
    assert (illegal.status_code, illegal.json()["error"]["type"]) == (400, "invalid_request_error")


def test_whoever_is_refused_here_may_ask_again(http: httpx.Client) -> None:
    refused = [http.post(CHAT, content=body) for body in (b"no json", b"{}")]
    refused.append(http.post(CHAT, json=asked("Hi", "nobody")))
    assert not [answer for answer in refused if {"x-run-id", "x-should-retry"} & set(answer.headers)]


# --- credentials ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"Bearer {ALICE}", 200),
        (f"bearer   {ALICE}", 200),
        (f"BEARER {ALICE}", 200),
        (f"  Bearer {ALICE}  ", 200),
        ("Bearer bobs-token", 200),
        ("Bearer gateway-token", 200),
        ("Bearer gateway-password", 200),
        (f"Basic {ALICE}", 401),
        (f"Bearer {ALICE.upper()}", 401),
        (f"Bearer {ALICE}x", 401),
        (f"Bearer {ALICE[:-1]}", 401),
        (f"Bearer{ALICE}", 401),
        (f"Bearer alice:{ALICE}", 401),
        ("Bearer alice", 401),
        ("Bearer ", 401),
        ("Bearer", 401),
        (ALICE, 401),
        ("", 401),
        ("Bearer \xe9", 401),
    ],
)
def test_the_scheme_in_any_case_and_the_token_exact(service: Service, header: str, status: int) -> None:
    answer = raw(service, head(len(HI), authorization=header) + HI)
    assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_without_the_header_nobody_is_let_in(service: Service) -> None:
    for answer in (httpx.post(service.url + CHAT, content=HI), httpx.get(f"{service.url}/v1/models")):
        assert error(answer) == UNAUTHORIZED


# --- bodies -----------------------------------------------------------------------------------------------------------


def chunked(body: bytes) -> Iterator[bytes]:
    """Posts the body without a Content-Length."""
    yield from (body[i : i + 65_536] for i in range(0, len(body), 65_536))


Form = Callable[[bytes], bytes | Iterable[bytes]]


@pytest.mark.parametrize("form", [bytes, chunked])
def test_a_body_of_exactly_the_limit_passes(http: httpx.Client, form: Form) -> None:
    assert content(http.post(CHAT, content=form(padded(LIMIT)))) == "Hi"


@pytest.mark.parametrize("size", [LIMIT + 1, 5 * LIMIT])
@pytest.mark.parametrize("form", [bytes, chunked])
def test_one_byte_more_gets_an_answer_that_can_be_read(http: httpx.Client, form: Form, size: int) -> None:
    assert error(http.post(CHAT, content=form(padded(size)))) == TOO_LARGE


def test_a_client_that_writes_everything_before_it_reads_can_read_the_refusal(service: Service) -> None:
    answer = raw(service, head(4 * LIMIT) + padded(4 * LIMIT))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b'{"error":{"message":"payload too large","type":"invalid_request_error"}}')


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{'a': 1}",
        b'{"a": 1} x',
        b'{"n": NaN}',
        b'{"n": Infinity}',
        b'{"n": -Infinity}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a": "\xff"}',
        b"\x00",
    ],
    ids=lambda body: repr(body[:16]),
)
def test_what_is_no_json(http: httpx.Client, body: bytes) -> None:
    assert error(http.post(CHAT, content=body)) == INVALID_JSON


@pytest.mark.parametrize("body", [b"", b" \r\n", b"{}", b"[]", b"[1]", b"null", b"true", b"1", b'"text"'])
def test_no_body_and_other_values_act_like_an_empty_object(http: httpx.Client, body: bytes) -> None:
    assert error(http.post(CHAT, content=body)) == MISSING


@pytest.mark.parametrize(
    ("escaped", "cleaned"),
    [
        (r"a\ud83d", "a\ufffd"),
        (r"\ude00b", "\ufffdb"),
        (r"\ude00\ud83d", "\ufffd\ufffd"),
        (r"\ud83d\ude00", "😀"),
        (r"\\ud83d", r"\ud83d"),
    ],
)
def test_lone_surrogates_are_cleaned_at_the_door(http: httpx.Client, escaped: str, cleaned: str) -> None:
    body = f'{{"messages": [{{"role": "user", "content": "<{escaped}>"}}], "user": "{escaped}", "model": "{escaped}"}}'
    answer = http.post(CHAT, content=body)
    assert given(answer)["message"] == f"<{cleaned}>"
    assert given(answer)["sessionKey"] == f"agent:main:openai-user:{cleaned}"
    assert answer.json()["model"] == cleaned


def test_a_client_that_leaves_in_the_middle_of_its_body_disturbs_nobody(service: Service, http: httpx.Client) -> None:
    with connected(service) as connection:
        connection.sendall(head(1_000) + b'{"mess')
    assert content(http.post(CHAT, content=HI)) == "Hi"


def test_a_client_that_asks_before_it_sends_is_told_to_send(service: Service) -> None:
    """curl sends `Expect: 100-continue` with bodies of 1 MiB and more."""
    with connected(service) as connection:
        connection.sendall(head(len(HI), "Expect: 100-continue"))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n")
        connection.sendall(HI)
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")


def test_the_host_is_never_looked_at(service: Service) -> None:
    assert raw(service, head(len(HI), host="[::bad") + HI).startswith(b"HTTP/1.1 200 ")


# --- by hand ----------------------------------------------------------------------------------------------------------


def connected(service: Service) -> socket.socket:
    address = urlsplit(service.url)
    assert address.hostname and address.port
    return socket.create_connection((address.hostname, address.port), timeout=PATIENCE_SECONDS)


def head(size: int, *headers: str, authorization: str = f"Bearer {ALICE}", host: str = "x") -> bytes:
    """The head of a request with a body of `size` bytes, the last one on its connection."""
    first = [f"POST {CHAT} HTTP/1.1", f"Host: {host}", f"Authorization: {authorization}", f"Content-Length: {size}"]
    return "".join(f"{line}\r\n" for line in [*first, "Connection: close", *headers, ""]).encode("latin-1")


def raw(service: Service, request: bytes) -> bytes:
    """Sends all of the request, and only then reads the answer."""
    with connected(service) as connection:
        connection.sendall(request)
        return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65_536), b""))
