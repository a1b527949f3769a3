"""Parameters of requests. One value reads a parameter and describes it, so that each bound is written once."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from typing import Literal

from starlette.requests import Request

from api.http import query
from api.http.json_value import JsonObject
from api.http.query import LARGEST


@dataclass(frozen=True)
class Parameter:
    """A parameter of a request. `schema` describes it in the OpenAPI document, as JSON Schema."""

    name: str
    description: str
    _: KW_ONLY
    place: Literal["query", "header", "path"] = "query"

    @property
    def schema(self) -> JsonObject:
        return {"type": "string"}

    def text(self, request: Request) -> str | None:
        """The parameter as the client wrote it; None when the request has none."""
        if self.place == "query":
            return request.query_params.get(self.name)
        return request.headers.get(self.name) if self.place == "header" else request.path_params[self.name]


@dataclass(frozen=True)
class Text(Parameter):
    def of(self, request: Request) -> str:
        """The value; empty when the request has none."""
        return self.text(request) or ""


@dataclass(frozen=True)
class Flag(Parameter):
    @property
    def schema(self) -> JsonObject:
        return {"type": "boolean", "default": False}

    def of(self, request: Request) -> bool:
        """The value; false when the request has none. Raises ApiError 400."""
        return query.flag(self.text(request), self.name)


@dataclass(frozen=True)
class Number(Parameter):
    _: KW_ONLY
    default: int = 0
    least: int = 0
    most: int = LARGEST

    @property
    def schema(self) -> JsonObject:
        return {"type": "integer", "minimum": self.least, "maximum": self.most, "default": self.default}

    def of(self, request: Request) -> int:
        """The value; `default` when the request has none. Raises ApiError 400."""
        return query.number(self.text(request), self.name, default=self.default, least=self.least, most=self.most)


@dataclass(frozen=True)
class Time(Parameter):
    """Milliseconds since the epoch."""

    @property
    def schema(self) -> JsonObject:
        return {"type": "integer", "minimum": 0, "maximum": LARGEST}

    def of(self, request: Request) -> int | None:
        """The value; None when the request has none. Raises ApiError 400."""
        text = self.text(request)
        return None if text is None else query.number(text, self.name, most=LARGEST)


@dataclass(frozen=True)
class OneOf(Parameter):
    words: type[StrEnum]
    _: KW_ONLY
    default: str = ""

    @property
    def schema(self) -> JsonObject:
        default: JsonObject = {"default": self.default} if self.default else {}
        return {"type": "string", "enum": [word.value for word in self.words], **default}

    def of(self, request: Request) -> str:
        """The value; `default` when the request has none. Raises ApiError 400."""
        return query.one_of(self.text(request), self.name, self.words) or self.default


@dataclass(frozen=True)
class Cursor(Parameter):
    @property
    def schema(self) -> JsonObject:
        return {"type": "string", "pattern": f"^({query.CURSOR})$"}

    def of(self, request: Request) -> str:
        """The value; empty when the request has none. Raises ApiError 400."""
        return query.cursor(self.text(request) or "", self.name)
