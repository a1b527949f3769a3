"""A request's body: reads its bytes within bounds and parses them as a JSON object."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

from pydantic import JsonValue
from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request

from api.http import api_errors
from api.http.json_value import JsonObject

BODY_SECONDS = 30.0  # a body that takes longer will not arrive

# How much of a body that is too large the API reads and drops: pictures in base64 make 20 MiB.
_DRAIN_BYTES = 32 * 1024 * 1024
_DRAIN_SECONDS = 10.0
_QUIET_SECONDS = 1.0  # a client that sends nothing for this long is waiting for its answer


async def read_body(request: Request, *, limit: int, seconds: float) -> bytes:
    """The whole body, of at most `limit` bytes. Raises ApiError 413 when it is larger, and 408 when it has not arrived
    within `seconds`."""
    async with aclosing(request.stream()) as chunks:
        try:
            async with asyncio.timeout(seconds):
                body = None if _declared(request) > limit else await _read(chunks, limit)
        except (TimeoutError, ClientDisconnect):  # after a disconnect only the access log sees the response
            raise api_errors.body_not_finished() from None
        if body is None:
            await _drain(chunks)
            raise api_errors.payload_too_large()
    return body


def _declared(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if re.fullmatch(r"[0-9]{1,18}", length) else 0


async def _read(chunks: AsyncIterator[bytes], limit: int) -> bytes | None:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Lets the client finish sending. Closing a connection with unread bytes resets it and loses the response."""
    now, left = asyncio.get_running_loop().time, _DRAIN_BYTES
    end = now() + _DRAIN_SECONDS
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(_QUIET_SECONDS) as quiet:
            async for chunk in chunks:
                left -= len(chunk)
                if left < 0:
                    return
                quiet.reschedule(min(now() + _QUIET_SECONDS, end))


def parse_json(raw: bytes) -> JsonObject:
    """The object in `raw`; an empty body and any other JSON value count as `{}`. Raises ApiError 400.

    The parser refuses NaN, Infinity, a BOM, bytes that are not UTF-8, integers of more than 4300 digits, and values
    nested some 200 deep. The module `json` accepts some of these and hits the recursion limit with others.
    """
    if not raw.strip():
        return {}
    try:
        value = _parse(raw)
    except ValueError:
        raise api_errors.invalid_json() from None
    return value if isinstance(value, dict) else {}


def _parse(raw: bytes) -> JsonValue:
    try:
        value: JsonValue = from_json(raw, allow_inf_nan=False)
    except ValueError:
        # A lone surrogate may be the only reason. JavaScript clients send them: half an emoji, cut off by `slice`.
        value = from_json(_ESCAPE.sub(_replace_lone, raw), allow_inf_nan=False)
    return value


_ESCAPE = re.compile(
    rb"""(?P<whole>
            \\u[dD][89abAB][0-9a-fA-F]{2} \\u[dD][c-fC-F][0-9a-fA-F]{2}  # a surrogate pair
          | \\ (?! u[dD][89a-fA-F][0-9a-fA-F]{2}) .                      # the beginning of any other escape
        )
      | \\u[dD][89a-fA-F][0-9a-fA-F]{2}                                  # a surrogate alone
    """,
    re.VERBOSE | re.DOTALL,
)


def _replace_lone(escape: re.Match[bytes]) -> bytes:
    return escape["whole"] or rb"\ufffd"
