"""``serinus lint --cluster``: the operator, its metric sources, presets, buckets and scrape intervals."""

from typing import Final

import pytest

from support.cluster_world import Change, Refusal, World, drop, refused, row, series
from support.linted import Linted, No, assert_found, id_of
from support.manifests.builders import changed, model_version
from support.manifests.stored import PLAN, POOL, config, stored


def put_lease(holder: str) -> Change:
    """The operator runs without the chart, or has gone."""
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": "2199-01-01T00:00:00.000000Z"}
    lease = {"kind": "leases", "metadata": {"name": "serinus", "namespace": "ops"}, "spec": spec}

    def change(world: World) -> None:
        world.drop("Deployment", "serinus")
        world.add(lease)

    return change


def hidden_lease(world: World) -> None:
    world.drop("Deployment", "serinus")
    world.refused.add("leases")


NOS: Final[list[No]] = [
    (
        drop("Deployment", "serinus"),
        "warning: ",
        "operator",
        "no Deployment of the chart is in the cluster, nor a Lease of an operator: install the chart",
    ),
    (
        put_lease(holder=""),
        "warning: ",
        "operator",
        "Lease ops/serinus has no holder, and no Deployment of the chart was found: start the operator",
    ),
    (config("sources:", "source:"), "warning: ", "operator", "ConfigMap system/serinus: config.yaml"),
    (config("[]", "[other]"), "", "operator", "metadata.namespace: the operator watches other, and not namespace ml"),
    (
        config("namespaces", "routers: [grpcRoute]\nnamespaces"),
        "",
        "operator",
        "spec.route.httpRoute: the operator has no router httpRoute switched on; it has grpcRoute: let the administ",
    ),
    (
        config("default:", "other:"),
        "",
        "metric-source",
        "spec.metrics.source: the operator has no metric source default; it has other: name one of them",
    ),
    (
        series("serinus_preset", [row(1, serinus_preset="istio")]),
        "warning: ",
        "no-series",
        "spec.metrics.preset: Prometheus of source default has no series of preset contour (envoy_cluster_upstream_rq",
    ),
    (
        series("serinus_preset", []),
        "warning: ",
        "no-series",
        "spec.metrics.preset: Prometheus of source default has no series",
    ),
    (
        series("count by (envoy_cluster_name)", []),
        "warning: ",
        "no-series",
        "spec.metrics.preset: Prometheus of source default has no series of preset contour for old:80, which HTTPRou",
    ),
    (
        series("count_over_time", [row(5)]),
        "warning: ",
        "scrape-interval",
        "spec.metrics.source: source default is scraped about every 60 s, and configured as 15s: let the administrat",
    ),
]


@pytest.mark.parametrize("case", NOS, ids=id_of)
def test_what_is_not_so_of_metrics_is_found(world: World, lint: Linted, case: No) -> None:
    assert_found(world, lint, case)


NOT_ASKED: Final[list[tuple[Change, str]]] = [
    (
        put_lease(holder="host_1"),
        "not checked whether an operator watches the namespace: not known where the operator runs",
    ),
    (hidden_lease, "not checked whether an operator watches the namespace: no Deployment of the chart is in the clus"),
    (refused("Deployment"), "not checked whether an operator watches the namespace: you may not see Deployments of "),
    (refused("ConfigMap"), "not checked whether an operator watches the namespace: you may not read ConfigMap system"),
    (
        refused("Deployment"),
        (
            "spec.metrics.preset: not checked whether Prometheus has the series of preset contour: the address of "
            "metric source default is not known, as the operator's configuration is not: give an address of Prometheus"
        ),
    ),
    (
        refused("Prometheus"),
        "spec.metrics.preset: not checked whether Prometheus has the series of preset contour: you may not ask Promet",
    ),
    (
        series("vector(1)", Refusal("Error from server (ServiceUnavailable): no endpoints available")),
        (
            "spec.metrics.preset: not checked whether Prometheus has the series of preset contour: Prometheus at "
            "http://prometheus.monitoring.svc:9090 did not answer"
        ),
    ),
    (
        series("vector(1)", []),
        "spec.metrics.preset: not checked whether Prometheus has the series of preset contour: what is at http://prom",
    ),
    (
        config("prometheus.monitoring.svc", "ada:secret@10.0.0.1"),
        (
            "spec.metrics.preset: not checked whether Prometheus has the series of preset contour: metric source "
            "default has the address http://10.0.0.1:9090, which is not that of a Service of the cluster"
        ),
    ),
    (
        series("serinus_preset", Refusal("Error from server: timed out")),
        "spec.metrics.preset: not checked whether Prometheus has all series of preset contour: a query was not answe",
    ),
    (
        series("count_over_time", []),
        "spec.metrics.source: not checked whether source default is scraped every 15s: its series are too young: try",
    ),
    (
        series("count by (le)", []),
        "spec.stages[1].abortOn[0]: not checked whether the limit of latency_p95 > 200ms is a bound of the buckets: P",
    ),
]


@pytest.mark.parametrize(("change", "words"), NOT_ASKED, ids=[words[:70] for _, words in NOT_ASKED])
def test_what_could_not_be_asked_is_a_note_and_never_told_as_missing(
    world: World, lint: Linted, change: Change, words: str
) -> None:
    change(world)
    lines = lint.of(PLAN)
    assert lint.status == 0
    assert any(f": note: Rollout fraud-detector: {words}" in line for line in lines), lines
    assert all(line.endswith("[not-asked]") and "neither in" not in line for line in lines)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("200ms", None),
        ("0.2s", None),
        ("latency_p95 > 1.2x stable", None),
        (
            "250ms",
            "is between two bounds of the buckets, 200 and 500 ms: the requests between them are estimated: write",
        ),
        (
            "20ms",
            "is between two bounds of the buckets, 0 and 50 ms: the requests between them are estimated: write 50",
        ),
        (
            "2s",
            "is above the last bound of the buckets, 500 ms: all requests above that bound count as too slow: write",
        ),
    ],
)
def test_a_latency_limit_must_be_a_bound_of_the_buckets(
    world: World, lint: Linted, limit: str, words: str | None
) -> None:
    line = limit if " " in limit else f"latency_p95 > {limit}"
    found = lint.of(changed(PLAN, {"spec.stages[1].abortOn[0]": line}))
    assert len(found) == (words is not None)
    for one in found:
        assert f"warning: Rollout fraud-detector: spec.stages[1].abortOn[0]: the limit of {line} {words}" in one
        assert one.endswith("stats_config.histogram_bucket_settings in Envoy's bootstrap [coarse-buckets]")


def test_native_histograms_have_buckets_that_are_fine_enough(world: World, lint: Linted) -> None:
    world.series["count by (le)"] = [row(1, serinus="native", envoy_cluster_name="ml_old_80")]
    assert lint.of(PLAN) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("drift > 0.2", None),
        ("psi > 0.2", "source default has no query psi (it has: drift): correct abortOn, or let the administrator add"),
        ("client_error_rate > 1%", None),
    ],
)
def test_each_condition_must_be_measurable(world: World, lint: Linted, line: str, words: str | None) -> None:
    found = lint.of(changed(PLAN, {"spec.stages[1].abortOn[1]": line}))
    assert len(found) == (words is not None)
    assert all(f"spec.stages[1].abortOn[1]: {line} cannot be measured: {words}" in one for one in found)


@pytest.mark.parametrize(
    ("preset", "words"),
    [
        ("nginx", "unknown preset nginx: set metrics.preset to one of bentoml, contour"),
        ("contour", "preset contour cannot tell a InferencePool apart: serve from a Service, or use another preset"),
    ],
)
def test_the_preset_must_fit_the_backend(world: World, lint: Linted, preset: str, words: str) -> None:
    world.add({"kind": "InferencePool", "metadata": stored("llm")})
    version = model_version({"spec.serving.backendRef": POOL})
    found = lint.of(changed(PLAN, {"spec.metrics": {"preset": preset}}), version)
    conditions = [one for one in found if one.endswith("[condition]")]
    assert len(conditions) == 4
    assert f"spec.stages[1].abortOn[0]: latency_p95 > 200ms cannot be measured: {words}" in conditions[0]


def test_an_error_rate_must_see_how_a_grpc_call_ends(world: World, lint: Linted) -> None:
    route = {"grpcRoute": {"name": "fraud-detector"}}
    found = lint.of(changed(PLAN, {"spec.metrics": {"preset": "linkerd"}, "spec.route": route}))
    blind = [one for one in found if "cannot be measured: preset linkerd does not see which gRPC calls fail" in one]
    assert [one.partition(": error_rate")[0].rpartition(" ")[2] for one in blind] == [
        "spec.stages[1].abortOn[1]",
        "spec.stages[2].abortOn[1]",
    ]


def test_a_plan_with_named_queries_only_needs_no_preset(world: World, lint: Linted) -> None:
    world.series["serinus_preset"] = []
    only = ["drift > 0.2"]
    assert lint.of(changed(PLAN, {"spec.stages[1].abortOn": only, "spec.stages[2].abortOn": only})) == []
