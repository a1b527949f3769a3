"""Dashboard and alerts use only metrics that exist, and only labels that these metrics have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.measured import Measured, measured_by_api, measured_by_worker

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KNOWN = {**measured_by_api(), **measured_by_worker()}
# Metrics of Prometheus itself and of prometheus-client.
OTHERS = {"up", "process_resident_memory_bytes"}
SET_BY_PROMETHEUS = {"le", "instance", "job"}

RULES = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((DEPLOY / "grafana/runrelay.json").read_text())


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["definition"]
    for trigger in yaml.safe_load((DEPLOY / "kubernetes/keda.yaml").read_text())["spec"]["triggers"]:
        yield "keda", trigger["metadata"]["query"]


EXPRESSIONS = dict(expressions())


def metrics(expression: str) -> set[str]:
    """The names of series in an expression: all names but functions, keywords and labels."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", " ", bare)
    bare = re.sub(r",\s*\w+\)", ")", bare) if bare.startswith("label_values") else bare
    return set(re.findall(r"\b[a-z_]\w*\b(?!\s*\()", bare)) - {"by", "and", "or", "unless", "sum", "max", "min"}


def labels(expression: str) -> set[str]:
    chosen = {name for group in re.findall(r"\{([^}]*)\}", expression) for name in re.findall(r"(\w+)\s*[=!]", group)}
    kept = {name for group in re.findall(r"\bby\s*\(([^)]*)\)", expression) for name in re.split(r"\s*,\s*", group)}
    return chosen | kept


def metric(series: str) -> Measured | None:
    base = re.sub(r"_(bucket|sum|count)$", "", series)
    found = KNOWN.get(series) or KNOWN.get(base)
    assert found is None or (found.kind == "histogram") == (series != found.name), f"{series} is no series of {found}"
    return found


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_asks_for_metrics_and_labels_that_are_there(name: str) -> None:
    expression = EXPRESSIONS[name]
    series = metrics(expression)
    assert series, expression
    known = [found for one in series if (found := metric(one))]
    assert {one for one in series if metric(one) is None} <= OTHERS, expression
    assert labels(expression) <= {label for one in known for label in one.labels} | SET_BY_PROMETHEUS, expression


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('sum by (agent) (rate(a_total{b="c"}[5m])) / sum(d_bucket) > 0.2 and e == 0', {"a_total", "d_bucket", "e"}),
        ("histogram_quantile(0.99, sum by (le) (rate(f_bucket[$__rate_interval])))", {"f_bucket"}),
        ("label_values(runrelay_waiting_runs, agent)", {"runrelay_waiting_runs"}),
    ],
)
def test_the_test_reads_expressions(expression: str, expected: set[str]) -> None:
    assert metrics(expression) == expected


@pytest.mark.parametrize("expression", ["runrelay_typo_total", "runrelay_queue_wait_seconds > 1"])
def test_the_test_finds_what_is_not_there(expression: str) -> None:
    (series,) = metrics(expression)
    with pytest.raises(AssertionError):
        assert metric(series) is not None


def test_what_is_of_the_whole_service_is_not_added_up_over_processes() -> None:
    fleet = [name for name, one in KNOWN.items() if "take max, not sum" in one.help]
    assert len(fleet) == 6
    for name, expression in EXPRESSIONS.items():
        for one in fleet:
            for before in re.findall(rf"(\w+)(?: by \(\w+\))? ?\({one}\b", expression):
                assert before in {"max", "label_values"}, name


def test_every_alert_has_a_severity_a_summary_and_its_row_in_the_docs() -> None:
    docs = (ROOT / "docs/monitoring.md").read_text()
    for rule in RULES:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]
        assert f"| `{rule['alert']}` |" in docs
    assert set(re.findall(r"^\| `(Runrelay\w+)` \|", docs, re.MULTILINE)) == {rule["alert"] for rule in RULES}


def test_every_metric_is_on_the_dashboard_or_said_to_be_for_reading_only() -> None:
    shown = {found.name for expression in EXPRESSIONS.values() for one in metrics(expression) if (found := metric(one))}
    assert KNOWN.keys() - shown <= {"runrelay_build_info", "runrelay_attempts_total"}
