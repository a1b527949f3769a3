"""Manifests and units run the commands of the Procfile, with settings that exist, and give processes time to drain."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from honcho.environ import parse_procfile
from prometheus_client import CollectorRegistry

from api.fleet.api_metrics import ApiMetrics
from shared.ledger.queue_depth import Depth, FleetDepth
from shared.observe.process_metrics import exposition
from shared.redis.keys import Keys
from shared.settings import SETTINGS, Settings
from worker.claim.run_worker import STOP_SECONDS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROCESSES = parse_procfile((ROOT / "Procfile").read_text()).processes
NAMES = {row.name for row in SETTINGS}
MANIFESTS = list(yaml.safe_load_all((DEPLOY / "kubernetes/runrelay.yaml").read_text()))
CONFIG: dict[str, str] = next(one["data"] for one in MANIFESTS if one["kind"] == "ConfigMap")
PODS: dict[str, Any] = {
    one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"]["template"]["spec"]
    for one in MANIFESTS
    if one["kind"] == "Deployment"
}
UNITS = {"web": DEPLOY / "systemd/runrelay-web.service", "worker": DEPLOY / "systemd/runrelay-worker@.service"}


@pytest.mark.parametrize("kind", PROCESSES)
def test_a_pod_starts_what_the_procfile_does(kind: str) -> None:
    (container,) = PODS[kind]["containers"]
    assert " ".join(container["command"]) == PROCESSES[kind]
    assert {one["name"] for one in container["env"]} | CONFIG.keys() <= NAMES


@pytest.mark.parametrize("kind", PROCESSES)
def test_a_pod_is_given_longer_than_its_drain(kind: str) -> None:
    (container,) = PODS[kind]["containers"]
    before = float(container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [0, 0])[1])
    assert PODS[kind]["terminationGracePeriodSeconds"] > before + float(CONFIG["DRAIN_SECONDS"]) + STOP_SECONDS


@pytest.mark.parametrize("kind", PROCESSES)
def test_a_probe_asks_a_port_and_a_path_that_answer(kind: str) -> None:
    (container,) = PODS[kind]["containers"]
    ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
    settings = {one["name"]: one["value"] for one in container["env"]}
    for name in ("livenessProbe", "readinessProbe"):
        if request := container.get(name, {}).get("httpGet"):
            assert request["path"] == "/healthz"
            assert ports[request["port"]] == settings["PORT" if kind == "web" else "METRICS_PORT"]


def test_a_scaler_counts_runs_by_the_slots_of_a_worker() -> None:
    (by_metric,) = scaled("keda.yaml")
    assert by_metric["threshold"] == CONFIG["WORKER_CONCURRENCY"]
    for trigger in scaled("keda-redis.yaml"):
        assert trigger["listLength"] == CONFIG["WORKER_CONCURRENCY"]


def test_a_scaler_looks_at_keys_that_are_there() -> None:
    """KEDA reads the ZCARD of a sorted set. The keys in the manifest are those of the default NAMESPACE."""
    keys = Keys(Settings().namespace)
    assert [trigger["listName"] for trigger in scaled("keda-redis.yaml")] == [keys.queue, keys.leases]


def scaled(file: str) -> list[dict[str, str]]:
    document = yaml.safe_load((DEPLOY / "kubernetes" / file).read_text())
    names = [one["metadata"]["name"] for one in MANIFESTS if one["kind"] == "Deployment"]
    assert document["spec"]["scaleTargetRef"]["name"] in names
    return [trigger["metadata"] for trigger in document["spec"]["triggers"]]


@pytest.mark.parametrize("kind", PROCESSES)
def test_a_unit_starts_what_the_procfile_does_and_lets_it_drain(kind: str) -> None:
    unit = UNITS[kind].read_text()
    command = re.search(r"^ExecStart=/opt/runrelay/.venv/bin/(.+)$", unit, re.MULTILINE)
    seconds = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert command is not None
    assert seconds is not None
    assert command[1] == PROCESSES[kind]
    assert int(seconds[1]) > Settings().drain_seconds + STOP_SECONDS
    assert set(re.findall(r"^Environment=(\w+)=", unit, re.MULTILINE)) <= NAMES


@pytest.mark.slow
def test_herokus_line_counts_the_workers_that_all_runs_need() -> None:
    (program,) = re.findall(r"awk '(.+?)'", (DEPLOY / "heroku.md").read_text())
    for waiting, running, workers in ((0, 0, 1), (1, 0, 1), (10, 0, 1), (10, 1, 2), (95, 10, 11)):
        metrics = ApiMetrics(CollectorRegistry())
        metrics.know(["main"])
        depth = Depth(waiting=waiting, running=running)
        metrics.show_fleet(FleetDepth(depth, {"main": depth}), [])
        body, _ = exposition(metrics.registry, "")
        done = subprocess.run(["awk", program], input=body, capture_output=True, check=True)
        assert done.stdout == b"%d\n" % workers


def test_settings_that_the_guides_name_are_there() -> None:
    for guide in (DEPLOY / "heroku.md", DEPLOY / "README.md"):
        named = set(re.findall(r"\b([A-Z][A-Z0-9]*_[A-Z_]+)\b", guide.read_text()))
        assert named <= NAMES | {"HEROKU_REDIS", "HEROKU_REDIS_URL"}, guide.name
