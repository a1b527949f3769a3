"""The results of one benchmark, and its machine. Its JSON is stored beside the page that shows them."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from pydantic import TypeAdapter

from bench.figures import Figures

GIB = 2**30


@dataclass(frozen=True)
class Record:
    taken: str  # day
    machine: str
    busy: float  # load average before it began
    seconds: float  # its duration
    rounds: int
    results: dict[str, dict[str, Figures]]

    def to_json(self) -> bytes:
        return _RECORD.dump_json(self, indent=1) + b"\n"

    @classmethod
    def of(cls, text: bytes) -> Record:
        """Parses the JSON of a record. Raises pydantic's ValidationError."""
        return _RECORD.validate_json(text)


_RECORD = TypeAdapter(Record)


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def machine() -> str:
    memory = psutil.virtual_memory().total / GIB
    system, python = f"{platform.system()} {platform.release()}", platform.python_version()
    return f"{os.cpu_count()} cores of {_processor()}, {memory:.0f} GiB, {system}, Python {python}"


def _processor() -> str:
    """The model of the processor. On Linux it is in /proc/cpuinfo only."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
