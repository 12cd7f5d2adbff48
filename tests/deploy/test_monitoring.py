"""Alerts, runbooks, dashboard and pages name only metrics that the operator exports, and agree with each other."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from serinus.settings import RolloutSeries, load_settings
from serinus.telemetry.catalogue import exported
from support.helm import Helm, find_helm
from support.prometheus.server import program
from support.release import CHART, SOURCE

ROOT: Final = Path(__file__).resolve().parents[2]
MONITORING: Final = ROOT / "deploy/monitoring"
RUNBOOKS: Final = ROOT / "docs/runbooks"
NAMED: Final = re.compile(r"(?<![\w./-])serinus_[a-z][a-z0-9_]*(?![\w./-]|\.py)")
SERIES: Final = {series for metric in exported() for series in (*metric.series, metric.name)}
PLACES: Final = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *(
        path
        for folder in ("docs", "deploy/monitoring", "deploy/helm", "examples")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in {".md", ".yaml", ".json", ".tpl", ".txt"}
    ),
]

Rule = dict[str, Any]


def rules() -> list[Rule]:
    groups = yaml.safe_load((MONITORING / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def unknown(text: str) -> set[str]:
    """The metrics that a text names and the operator does not export."""
    return {name for name in NAMED.findall(text) if name not in SERIES}


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Helm, built once if it is not installed."""
    return find_helm()


# ---- names --------------------------------------------------------------------------------------


def test_every_metric_that_is_named_anywhere_is_exported() -> None:
    found = {str(path.relative_to(ROOT)): unknown(path.read_text(encoding="utf-8")) for path in PLACES}

    assert {place: names for place, names in found.items() if names} == {}


def test_a_metric_that_is_not_exported_would_be_found() -> None:
    text = 'rate(serinus_rollbacks_total[5m]) + serinus_rollbacks{reason="x"} > serinus_leaders and `serinus_leader`'

    assert unknown(text) == {"serinus_rollbacks", "serinus_leaders"}


def test_the_label_values_of_the_rules_are_words_of_the_code() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "operator/serinus").rglob("*.py"))
    words = {
        word
        for rule in rules()
        for values in re.findall(r'(?:phase|state|cause|verdict|outcome|source)[=!~]+"([^"]+)"', rule["expr"])
        for word in values.split("|")
    }

    assert len(words) > 8
    assert {word for word in words if f'"{word}"' not in sources} == set()


def test_every_label_of_a_rule_is_one_of_its_metric() -> None:
    labels = {series: set(metric.labels) for metric in exported() for series in metric.series}
    wrong = []
    for rule in rules():
        for name, selector in re.findall(r"(serinus_\w+)\{([^}]*)\}", rule["expr"]):
            used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
            wrong += [f"{rule['alert']}: {name}{{{label}}}" for label in used - labels[name]]

    assert wrong == []


# ---- alerts -------------------------------------------------------------------------------------


def promtool(*arguments: str) -> str:
    done = subprocess.run(
        [program("promtool"), *arguments], cwd=MONITORING, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_accepts_the_rules() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", "alerts.yaml")


def test_each_alert_fires_when_it_must_and_only_then() -> None:
    cases = yaml.safe_load((MONITORING / "alerts-test.yaml").read_text(encoding="utf-8"))["tests"]
    names = {case["name"] for case in cases}

    assert {f"{rule['alert']} {what}" for rule in rules() for what in ("fires", "does not fire")} == names
    assert "SUCCESS" in promtool("test", "rules", "alerts-test.yaml")


def test_every_alert_says_what_is_wrong_how_bad_it_is_and_what_to_do() -> None:
    for rule in rules():
        notes = rule["annotations"]
        assert notes.keys() == {"summary", "description", "runbook_url"}, rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert notes["runbook_url"] == f"https://serinus.dev/runbooks/{rule['alert']}"


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    pages = {page.stem: page.read_text(encoding="utf-8") for page in RUNBOOKS.glob("*.md")}

    assert pages.keys() == {rule["alert"] for rule in rules()}
    for alert, page in pages.items():
        headings = re.findall(r"^#+ .+$", page, re.MULTILINE)
        assert headings == [f"# {alert}", "## What it means", "## Impact", "## Look", "## Act"]


def test_the_page_on_monitoring_lists_every_alert_with_its_severity() -> None:
    page = (ROOT / "docs/how-to/monitor.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(\w+)\]\(\S+\) \| (\w+) \|", page, re.MULTILINE)

    assert sorted(listed) == sorted((rule["alert"], rule["labels"]["severity"]) for rule in rules())


# ---- what is generated --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "file"),
    [
        ("generate_metrics.py", "docs/reference/metrics.md"),
        ("generate_dashboard.py", "deploy/monitoring/dashboard.json"),
    ],
)
def test_what_is_committed_is_what_the_tool_prints(tool: str, file: str) -> None:
    made = subprocess.run([sys.executable, ROOT / "tools" / tool], capture_output=True, check=True, text=True).stdout

    assert (ROOT / file).read_text(encoding="utf-8") == made, "run: make crds"


def test_the_dashboard_keeps_its_address_and_asks_the_chosen_data_source() -> None:
    board = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))

    assert board["uid"] == "serinus-operator"
    assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource", "namespace", "rollout"]
    assert [panel["title"] for panel in board["panels"] if panel["type"] == "row"] == ["Now", "Evidence", "Operator"]
    charts = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert {panel["datasource"]["uid"] for panel in charts} == {"${datasource}"}
    assert all(panel["description"] and panel["targets"] for panel in charts)


# ---- the chart ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["alerts.yaml", "dashboard.json"])
def test_the_charts_copy_is_the_same(name: str) -> None:
    assert (CHART / "files" / name).read_bytes() == (MONITORING / name).read_bytes(), "run: make crds"


def test_the_chart_brings_rules_and_dashboard_where_they_are_wanted(helm: Helm) -> None:
    wanted = "--set=prometheusRule.enabled=true,dashboard.enabled=true,prometheusRule.labels.release=prom"
    runbooks = "--set=prometheusRule.runbookUrl=https://wiki.example/run/"
    rendered = helm.template(CHART, SOURCE, wanted, runbooks)

    (made,) = [one for one in rendered if one["kind"] == "PrometheusRule"]
    assert made["metadata"]["labels"]["release"] == "prom"
    groups = made["spec"]["groups"]
    urls = [rule["annotations"].pop("runbook_url") for group in groups for rule in group["rules"]]
    assert urls == [f"https://wiki.example/run/{rule['alert']}" for rule in rules()]
    expected = [
        rule | {"annotations": {k: v for k, v in rule["annotations"].items() if k != "runbook_url"}} for rule in rules()
    ]
    assert [rule for group in groups for rule in group["rules"]] == expected
    (board,) = [one for one in rendered if one["metadata"]["name"].endswith("-dashboard")]
    assert json.loads(board["data"]["serinus.json"])["uid"] == "serinus-operator"
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_the_chart_brings_neither_by_itself(helm: Helm) -> None:
    rendered = helm.template(CHART, SOURCE)

    assert not [one for one in rendered if one["kind"] == "PrometheusRule"]
    assert not [one for one in rendered if one["metadata"]["name"].endswith("-dashboard")]


def test_the_setting_of_the_series_reaches_the_operator(helm: Helm, tmp_path: Path) -> None:
    rendered = helm.template(CHART, SOURCE, "--set=config.telemetry.rolloutSeries=Active")
    (config,) = [one for one in rendered if one["kind"] == "ConfigMap" and "config.yaml" in one["data"]]
    file = tmp_path / "config.yaml"
    file.write_text(config["data"]["config.yaml"], encoding="utf-8")

    assert load_settings(file, {}).telemetry.rollout_series is RolloutSeries.ACTIVE
