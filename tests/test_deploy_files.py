"""The files for Docker and for process managers agree with the code that they start. Running them needs Docker."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from honcho.environ import parse_procfile
from pydantic import BaseModel

from shared.settings import SETTINGS

ROOT = Path(__file__).parents[1]
PROCESSES = parse_procfile((ROOT / "Procfile").read_text()).processes
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVED = ("web", "worker")
LOCAL_ONLY = {"local"}  # starts the service on a developer's machine


class Build(BaseModel):
    """The fields of a compose service that these tests read."""

    image: str
    command: str
    environment: dict[str, str] = {}
    ports: list[str] = []
    container_name: str | None = None
    depends_on: dict[str, dict[str, str]] = {}
    healthcheck: dict[str, object] = {}
    init: bool = False
    stop_grace_period: str = "10s"


COMPOSE = {
    name: Build.model_validate(service)
    for name, service in yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].items()
}


def test_the_procfile_starts_what_is_there() -> None:
    assert PROCESSES == {"web": "python -m api", "worker": "python -m worker"}
    for command in PROCESSES.values():
        assert (ROOT / command.removeprefix("python -m ") / "__main__.py").is_file()


@pytest.mark.parametrize("name", SERVED)
def test_compose_starts_what_the_procfile_does_from_one_image(name: str) -> None:
    assert COMPOSE[name].command == PROCESSES[name]
    assert COMPOSE[name].image == "runrelay"


def test_the_image_serves_when_it_is_told_nothing() -> None:
    assert f"CMD {PROCESSES['web'].split()}".replace("'", '"') in DOCKERFILE


@pytest.mark.parametrize("name", SERVED)
def test_compose_sets_what_is_a_setting(name: str) -> None:
    assert COMPOSE[name].environment.keys() <= {row.name for row in SETTINGS}


@pytest.mark.parametrize("name", SERVED)
def test_a_container_is_given_longer_than_its_drain(name: str) -> None:
    service = COMPOSE[name]
    assert float(service.stop_grace_period.removesuffix("s")) > float(service.environment["DRAIN_SECONDS"])


@pytest.mark.parametrize("name", SERVED)
def test_a_container_waits_for_redis_and_reaps_what_agents_leave(name: str) -> None:
    assert COMPOSE[name].depends_on == {"redis": {"condition": "service_healthy"}}
    assert COMPOSE[name].init


def test_workers_can_be_scaled() -> None:
    assert COMPOSE["worker"].container_name is None
    assert COMPOSE["worker"].ports == []


def test_only_web_is_asked_for_its_health() -> None:
    assert "HEALTHCHECK" in DOCKERFILE
    assert "/healthz" in DOCKERFILE
    assert COMPOSE["web"].healthcheck == {}
    assert COMPOSE["worker"].healthcheck == {"disable": True}


def test_redis_keeps_every_write_and_evicts_nothing() -> None:
    redis = COMPOSE["redis"]
    assert "--appendonly yes" in redis.command
    assert "--maxmemory-policy noeviction" in redis.command
    assert redis.healthcheck["test"] == ["CMD", "redis-cli", "ping"]


def test_no_token_comes_with_the_files() -> None:
    assert re.fullmatch(r"\$\{API_TOKENS:\?.+\}", COMPOSE["web"].environment["API_TOKENS"])


def packaged() -> set[str]:
    """The top-level packages of a wheel."""
    find = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    return {pattern.removesuffix("*") for pattern in find["include"]}


def test_the_image_holds_every_package_that_is_deployed() -> None:
    assert packaged() - LOCAL_ONLY <= copied()


def test_a_wheel_holds_every_folder_of_code() -> None:
    """setuptools is to find folders with an `__init__.py` only."""
    folders = {file.parent for top in packaged() for file in (ROOT / top).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def folder(package: str) -> Path:
    return ROOT / package.replace(".", "/")


def test_a_wheel_holds_every_other_file_of_the_packages() -> None:
    rows = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    held = {file for package, globs in rows.items() for one in globs for file in folder(package).glob(one)}
    files = {file for top in packaged() for file in folder(top).rglob("*") if file.is_file()}
    others = {file for file in files if file.suffix not in (".py", ".pyc")}
    assert len(others) > 30
    assert others == held


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    for source in copied():
        assert list(ROOT.glob(source)), source
        assert not ignored(source), source


def test_secrets_stay_out_of_the_image() -> None:
    assert all(map(ignored, [".env", ".git", ".runrelay", ".venv", "tests"]))


def test_the_image_does_not_run_as_root() -> None:
    assert DOCKERFILE.index("USER runrelay") < DOCKERFILE.index("CMD [")


def copied() -> set[str]:
    """The sources that come from the build context."""
    return set(re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE))


def ignored(path: str) -> bool:
    """Whether .dockerignore excludes the path: the last line that fits decides."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    fitting = [line for line in lines if fnmatch(path, line.removeprefix("!")) and not line.startswith("#")]
    return bool(fitting) and not fitting[-1].startswith("!")
