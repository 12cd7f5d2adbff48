# ruff: noqa: INP001, FBT003 - a script, in no package; the builders take their flags by position
"""Prints deploy/monitoring/dashboard.json, Grafana's board of the operator: ``python tools/generate_dashboard.py``."""

import sys
from dataclasses import dataclass
from itertools import count
from typing import Final

from grafana_foundation_sdk.builders import common as look
from grafana_foundation_sdk.builders import dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    VariableRefresh,
    VariableSort,
)

UID: Final = "serinus-operator"
"""Links and bookmarks keep working when the board is imported again."""

_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
_ONE: Final = 'namespace=~"$namespace", name=~"$rollout"'
_VALUE: Final = f"max by (namespace, name, condition) (serinus_analysis_value{{{_ONE}}})"
_LIMIT: Final = f"max by (namespace, name, condition) (serinus_analysis_threshold{{{_ONE}}})"
_SECONDS, _RATIO, _COUNT, _EACH_SECOND, _FLAG = "s", "percentunit", "short", "ops", "bool"


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: pairs of a legend and a PromQL expression."""

    title: str
    unit: str
    about: str
    queries: tuple[tuple[str, str], ...]
    stacked: bool = False


def _quantile(series: str, by: str, quantile: float = 0.95) -> str:
    return f"histogram_quantile({quantile}, sum by (le, {by}) (rate({series}_bucket[$__rate_interval])))"


_NOW: Final = (
    Panel(
        "Rollouts by phase",
        _COUNT,
        "All Rollouts of all namespaces.",
        (("{{phase}}", "sum by (phase) (serinus_rollouts_by_phase)"),),
        stacked=True,
    ),
    Panel(
        "Weight of the candidate: desired, accepted, observed",
        _RATIO,
        "As the status wants it, as the gateways have accepted it, and of the latest requests.",
        (
            (
                "{{name}} {{source}}",
                f'max by (namespace, name, source) (serinus_rollout_weight_ratio{{role="candidate", {_ONE}}})',
            ),
        ),
    ),
    Panel(
        "Weights accepted",
        _RATIO,
        "What each version of the Rollout has in the route.",
        (
            (
                "{{name}} {{role}}",
                f'max by (namespace, name, role) (serinus_rollout_weight_ratio{{source="accepted", {_ONE}}})',
            ),
        ),
        stacked=True,
    ),
    Panel(
        "Phase and stage",
        _FLAG,
        "The phase that each Rollout is in, and which version it tries in which stage.",
        (
            ("{{name}} {{phase}}", f"max by (namespace, name, phase) (serinus_rollout_phase{{{_ONE}}})"),
            (
                "{{name}} {{candidate}} in {{stage}}",
                f'max by (namespace, name, candidate, stage) (serinus_rollout_info{{candidate!="", {_ONE}}})',
            ),
        ),
    ),
)

_EVIDENCE: Final = (
    Panel(
        "Value beside its limit",
        _COUNT,
        "Seconds for latencies, ratios for proportions. At most a minute old.",
        (
            (
                "{{name}} {{condition}}",
                _VALUE,
            ),
            (
                "{{name}} limit of {{condition}}",
                _LIMIT,
            ),
        ),
    ),
    Panel(
        "Value as a share of its limit",
        _RATIO,
        "Above 100 % it is over the limit; whether that is a breach depends on the number of requests.",
        (
            (
                "{{name}} {{condition}}",
                f"{_VALUE} / ({_LIMIT} > 0)",
            ),
        ),
    ),
    Panel(
        "Requests that the verdict rests on",
        _COUNT,
        "The candidate's requests since the stage began.",
        (
            (
                "{{name}} {{condition}}",
                f"max by (namespace, name, condition) (serinus_analysis_requests{{{_ONE}}})",
            ),
        ),
    ),
    Panel(
        "Verdicts",
        _FLAG,
        "Pass, Breach, or Unknown and why.",
        (
            (
                "{{name}} {{condition}}: {{verdict}} {{cause}}",
                f"max by (namespace, name, condition, verdict, cause) (serinus_analysis_verdict{{{_ONE}}})",
            ),
        ),
    ),
    Panel(
        "Time until traffic was safe, p95",
        _SECONDS,
        "From the decision, and from the answer of Prometheus that showed the breach.",
        (
            (
                "from the decision",
                "histogram_quantile(0.95, sum by (le) (rate(serinus_rollback_duration_seconds_bucket[1d])))",
            ),
            (
                "from the breach",
                "histogram_quantile(0.95, sum by (le) (rate(serinus_breach_to_safe_seconds_bucket[1d])))",
            ),
        ),
    ),
    Panel(
        "Runs that ended, in a day",
        _COUNT,
        "By outcome; rollbacks by reason.",
        (
            ("{{outcome}}", "sum by (outcome) (increase(serinus_rollouts_total[1d]))"),
            ("rolled back: {{reason}}", "sum by (reason) (increase(serinus_rollbacks_total[1d])) > 0"),
        ),
    ),
)

_OPERATOR: Final = (
    Panel(
        "Who leads",
        _FLAG,
        "1 for the process that leads; by shard where there are several.",
        (
            ("{{instance}}", "max by (instance) (serinus_leader)"),
            ("shard {{shard}}: {{instance}}", "max by (instance, shard) (serinus_shard_held)"),
        ),
    ),
    Panel(
        "Reconcile, p95",
        _SECONDS,
        "Writes included, by lane.",
        (("{{lane}}", _quantile("serinus_reconcile_duration_seconds", "lane")),),
    ),
    Panel(
        "Wait in the queue, p95, and depth",
        _SECONDS,
        "The safety lane should never wait.",
        (
            ("{{lane}} wait", _quantile("serinus_queue_wait_seconds", "lane")),
            ("{{lane}} depth", "sum by (lane) (serinus_queue_depth)"),
        ),
    ),
    Panel(
        "Queries of Prometheus",
        _EACH_SECOND,
        "By outcome; only ok gives an answer.",
        (
            (
                "{{source}} {{outcome}}",
                "sum by (source, outcome) (rate(serinus_prometheus_request_duration_seconds_count[$__rate_interval]))",
            ),
        ),
    ),
    Panel(
        "Query and tick, p95",
        _SECONDS,
        "A tick must stay well below a third of the scrape interval.",
        (
            ("query {{source}}", _quantile("serinus_prometheus_request_duration_seconds", "source")),
            ("tick {{source}}", _quantile("serinus_metric_tick_duration_seconds", "source")),
        ),
    ),
    Panel(
        "Errors and corrections",
        _EACH_SECOND,
        "Failed reconciles by reason, failed audit writes, weights put right.",
        (
            ("{{reason}}", "sum by (reason) (rate(serinus_reconcile_errors_total[$__rate_interval]))"),
            ("audit writes", 'sum(rate(serinus_audit_writes_total{result="failed"}[$__rate_interval]))'),
            ("weights put right", "sum(rate(serinus_weight_drift_corrections_total[$__rate_interval]))"),
        ),
    ),
    Panel(
        "Audit records that wait, and the age of the oldest",
        _SECONDS,
        "They wait in the statuses while the registry does not take them.",
        (
            ("oldest", "max(serinus_audit_oldest_record_age_seconds)"),
            ("waiting (number)", "sum(serinus_audit_records_waiting)"),
        ),
    ),
    Panel(
        "Objects, writes, version",
        _COUNT,
        "Cached objects by kind; writes to the API server a second; which version runs.",
        (
            ("{{kind}}", "max by (kind) (serinus_objects)"),
            ("writes: {{what}}", "sum by (what) (rate(serinus_api_writes_total[$__rate_interval]))"),
            ("version {{version}}", "count by (version) (serinus_build_info)"),
        ),
    ),
)

ROWS: Final = (("Now", _NOW), ("Evidence", _EVIDENCE), ("Operator", _OPERATOR))

_ENDED: Final = "sum by (outcome) (changes(serinus_rollouts_total[$__rate_interval])) > 0"
"""Marks the end of each run in all charts."""


def _chart(panel: Panel) -> timeseries.Panel:
    chart = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.about)
        .datasource(_SOURCE)
        .unit(panel.unit)
        .min(0)
        .span(12)
        .height(8)
        .legend(
            look.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(look.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    )
    if panel.stacked:
        chart = chart.fill_opacity(30).stacking(look.StackingConfig().mode(common.StackingMode.NORMAL))
    for number, (legend, expression) in enumerate(panel.queries):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id("ABCDEFGH"[number])
        chart = chart.with_target(query.datasource(_SOURCE))
    return chart


def _variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(_SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def board() -> str:
    """Return the dashboard as JSON."""
    made = (
        dashboard.Dashboard("Serinus")
        .uid(UID)
        .tags(["serinus"])
        .description("Rollouts of model versions: what goes on now, on what evidence, and how the operator is.")
        .timezone("utc")
        .refresh("30s")
        .time("now-6h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_variable("namespace", "Namespace", "label_values(serinus_rollout_info, namespace)"))
        .with_variable(
            _variable("rollout", "Rollout", 'label_values(serinus_rollout_info{namespace=~"$namespace"}, name)')
        )
        .annotation(
            dashboard.AnnotationQuery()
            .name("Ended runs")
            .datasource(_SOURCE)
            .enable(True)
            .icon_color("orange")
            .expr(_ENDED)
        )
    )
    numbers = count(1)
    for title, panels in ROWS:
        made = made.with_row(dashboard.Row(title).id(next(numbers)))
        for panel in panels:
            made = made.with_panel(_chart(panel).id(next(numbers)))
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


if __name__ == "__main__":
    sys.stdout.write(board())
