"""The operator's own metrics as a scrape gets them, from a whole operator on fakes."""

from dataclasses import replace
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serinus.api.rollout_status import Phase, RolloutStatus
from serinus.api.route import RouteKind, RuleId
from serinus.settings import RolloutSeries
from support.records import key, rollout
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

ROLLOUT: Final = {"namespace": "ml", "name": "fraud"}

Labels = dict[str, str]


async def scraped(rig: Rig) -> dict[str, list[tuple[Labels, float]]]:
    """The samples of a scrape, by name."""
    found: dict[str, list[tuple[Labels, float]]] = {}
    for family in text_string_to_metric_families((await rig.exposition.render()).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def value(samples: dict[str, list[tuple[Labels, float]]], name: str, /, **labels: str) -> float:
    """The one sample of this name that has these labels."""
    (found,) = [one for have, one in samples[name] if labels.items() <= have.items()]
    return found


@in_virtual_time
async def test_a_canary_shows_its_versions_stage_weights_and_conditions() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        await until(lambda: bool(rig.status().evidence), why="a judgement")
        await until(lambda: rig.status().evidence[0].requests > 100, why="figures", within=300)
        samples = await scraped(rig)

    info = {"stable": "1.0.0", "candidate": "2.0.0", "stage": "canary"}
    assert samples["serinus_rollout_info"] == [(ROLLOUT | info, 1)]
    assert samples["serinus_rollout_phase"] == [(ROLLOUT | {"phase": "Progressing"}, 1)]
    for source in ("desired", "accepted"):
        assert value(samples, "serinus_rollout_weight_ratio", role="candidate", source=source) == 0.05
        assert value(samples, "serinus_rollout_weight_ratio", role="stable", source=source) == 0.95
    assert value(samples, "serinus_rollout_weight_ratio", role="candidate", source="observed") == pytest.approx(
        0.05, abs=0.005
    )
    condition = {"metric": "error_rate", "condition": "error_rate > 0.5%"}
    assert value(samples, "serinus_analysis_threshold", **ROLLOUT, **condition) == pytest.approx(0.005)
    assert value(samples, "serinus_analysis_value", **ROLLOUT, **condition) == 0
    assert value(samples, "serinus_analysis_requests", **ROLLOUT, **condition) > 100
    verdict = rig.status().evidence[0]
    cause = verdict.cause.value if verdict.cause is not None else ""
    assert value(samples, "serinus_analysis_verdict", verdict=verdict.verdict.value, cause=cause, **condition) == 1
    assert value(samples, "serinus_analysis_verdicts", verdict=verdict.verdict.value, cause=cause) >= 1
    assert value(samples, "serinus_rollout_state_age_seconds", state="Analyzing") > 0


@in_virtual_time
async def test_weights_that_no_gateway_accepts_are_desired_only() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        route = rig.cluster.route(key())
        refused = tuple(replace(parent, accepted=False, message="no") for parent in route.parents)
        rig.cluster.put(replace(route, parents=refused))
        await until(
            lambda: (
                rig.cache.route(key().namespace, RuleId(RouteKind.HTTP_ROUTE, key().name)) == rig.cluster.route(key())
            ),
            why="the news",
        )
        samples = await scraped(rig)

    sources = {labels["source"] for labels, _ in samples["serinus_rollout_weight_ratio"]}
    assert "desired" in sources
    assert "accepted" not in sources


@in_virtual_time
async def test_a_rollback_is_counted_and_timed_from_the_breach_until_it_is_safe() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.source.bad = {"2.0.0": 1.0}
        await rig.reaches(Phase.ROLLED_BACK, within=60)
        samples = await scraped(rig)

    assert {one for _, one in samples["serinus_analysis_verdicts"]} == {0}, "no run is under way any more"
    assert value(samples, "serinus_rollbacks_total", reason="MetricBreached") == 1
    assert value(samples, "serinus_rollbacks_total", reason="TestFailed") == 0
    assert value(samples, "serinus_rollback_duration_seconds_count") == 1
    assert value(samples, "serinus_breach_to_safe_seconds_count") == 1
    took = value(samples, "serinus_breach_to_safe_seconds_sum")
    assert value(samples, "serinus_rollback_duration_seconds_sum") <= took < 10
    assert value(samples, "serinus_analysis_checks_total", metric="error_rate", verdict="Breach") == 1
    assert value(samples, "serinus_audit_writes_total", result="accepted") >= 4
    assert value(samples, "serinus_rollouts_total", outcome="RolledBack") == 1
    assert value(samples, "serinus_rollouts_total", outcome="Promoted") == 0
    assert value(samples, "serinus_rollout_duration_seconds_count", outcome="RolledBack") == 1
    assert value(samples, "serinus_reconcile_duration_seconds_count", lane="safety") > 0
    assert value(samples, "serinus_queue_wait_seconds_count", lane="ordinary") > 0
    assert value(samples, "serinus_queue_wait_seconds_count", lane="versions") > 0


@in_virtual_time
async def test_the_series_of_a_rollout_go_with_it_and_totals_fall_to_zero() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        before = await scraped(rig)
        rig.cluster.delete(key())
        await until(lambda: rig.cache.rollout(key()) is None, why="the deletion")
        after = await scraped(rig)

    assert value(before, "serinus_rollouts_by_phase", phase="Progressing") == 1
    assert value(after, "serinus_rollouts_by_phase", phase="Progressing") == 0
    assert {sum(one for _, one in after["serinus_analysis_verdicts"])} == {0}
    left = [name for name, found in after.items() if any("name" in labels for labels, _ in found)]
    assert left == []


@pytest.mark.parametrize(
    ("setting", "shown"),
    [(RolloutSeries.ALL, {"at-rest", "trying"}), (RolloutSeries.ACTIVE, {"trying"}), (RolloutSeries.NONE, set())],
)
@in_virtual_time
async def test_which_rollouts_have_series_is_a_setting(setting: RolloutSeries, shown: set[str]) -> None:
    rig = Rig()
    for name, phase in (("at-rest", Phase.HEALTHY), ("trying", Phase.PENDING)):
        rig.cache.put(rollout(name, status=RolloutStatus(phase=phase)))
    rig.exposition = replace(rig.exposition, rollout_series=setting)
    samples = await scraped(rig)

    assert {labels["name"] for labels, _ in samples.get("serinus_rollout_info", [])} == shown
    assert value(samples, "serinus_rollouts_by_phase", phase="Healthy") == 1
