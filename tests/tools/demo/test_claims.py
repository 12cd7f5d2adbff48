"""The demo's claims: each fails if its statement does not hold."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from demo.cluster import RouteView, route_view
from demo.errors import DemoError
from demo.manifests import FAILING, GOOD, STABLE
from demo.metrics.prometheus import Counts, expression, is_visible
from demo.result import Claim, Promoted, PromotionFacts, Result, RollbackFacts, claims_of_queries
from demo.track import Track, rises_as_planned
from demo.traffic.requestlog import RequestRecord
from serinus.api.abort_condition import parse_abort_condition
from serinus.api.rollout_status import (
    PastRun,
    Phase,
    Rollback,
    RollbackReason,
    RolloutStatus,
    RunResult,
    Serving,
)

NOW = datetime(2026, 11, 23, 14, 7, 31, tzinfo=UTC)
ERRORS = parse_abort_condition("error_rate > 0.5%")
SLOWNESS = parse_abort_condition("latency_p95 > 200ms")


def track_of(*routes: tuple[float, float, bool], backend: str = FAILING.backend) -> Track:
    """Return a track of routes, each with time, share in percent, and whether the gateway has accepted it."""
    track = Track(backend)
    for at, weight, accepted in routes:
        track.record_route(at, RouteView({backend: weight, "other": 100 - weight}, accepted))
    return track


def requests(version: str, start: float, count: int = 50, status: int = 200) -> tuple[RequestRecord, ...]:
    return tuple(RequestRecord(start + number / 100, version, status, 0.01) for number in range(count))


def rolled_back() -> RollbackFacts:
    rollback = Rollback(
        version="2.3.2",
        to="2.3.0",
        reason=RollbackReason.METRIC_BREACHED,
        message="",
        condition="error_rate > 0.5%",
        value="19.4%",
        at_weight=5,
        decided_at=NOW,
    )
    status = RolloutStatus(
        phase=Phase.ROLLED_BACK,
        stable=Serving(version="2.3.0", weight=100, since=NOW),
        rollback=rollback,
        quarantined=("2.3.1", "2.3.2"),
    )
    return RollbackFacts(
        version=FAILING,
        condition=ERRORS,
        stable=GOOD,
        status=status,
        route=RouteView({GOOD.backend: 100.0, FAILING.backend: 0.0}, accepted=True),
        track=track_of((10, 0, True), (11, 5, False), (11.5, 5, True), (14, 0, False), (14.5, 0, True)),
        visible_at=13.0,
        requests=(*requests("2.3.2", 12.0), *requests("2.3.2", 13.0, 9, 500), *requests("2.3.0", 16.0)),
    )


def promoted() -> PromotionFacts:
    past = PastRun(run=1, version="2.3.0", result=RunResult.PROMOTED, started_at=NOW, ended_at=NOW)
    status = RolloutStatus(phase=Phase.HEALTHY, stable=Serving(version="2.3.0", weight=100, since=NOW), history=(past,))
    return PromotionFacts(
        version=GOOD,
        started=5.0,
        ended=40.0,
        status=status,
        route=RouteView({GOOD.backend: 100.0}, accepted=True),
        track=track_of((6, 0, True), (7, 5, True), (30, 100, True), backend=GOOD.backend),
        requests=(*requests("2.2.4", 6.0), *requests("2.3.0", 42.0)),
    )


def broken(claims: tuple[Claim, ...]) -> list[str]:
    return [claim.text for claim in claims if not claim.holds]


def with_status(facts: RollbackFacts, **changes: object) -> RollbackFacts:
    return replace(facts, status=msgspec.structs.replace(facts.status, **changes))


def test_all_claims_hold_for_a_good_rollback_and_its_figures_are_complete() -> None:
    facts = rolled_back()

    assert broken(facts.claims()) == []
    assert msgspec.to_builtins(facts.figures()) == {
        "version": "2.3.2",
        "condition": "error_rate > 0.5%",
        "value": "19.4%",
        "atWeight": 5.0,
        "visibleToSafeSeconds": 1.5,
        "requestsToBadVersion": 59,
        "requestsFailedAfterSafe": 0,
    }


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: with_status(f, phase=Phase.HEALTHY), "rolled back for"),
        (lambda f: with_status(f, rollback=None), "rolled back for"),
        (lambda f: replace(f, condition=SLOWNESS), "rolled back for"),
        (lambda f: replace(f, track=track_of((11, 5, True), (12, 100, False), (14, 0, True))), "never had more"),
        (lambda f: with_status(f, stable=Serving(version="2.3.0", weight=95, since=NOW)), "back at 100%"),
        (lambda f: with_status(f, stable=Serving(version="2.2.4", weight=100, since=NOW)), "back at 100%"),
        (lambda f: with_status(f, quarantined=()), "quarantined"),
        (lambda f: replace(f, route=RouteView({FAILING.backend: 5.0}, accepted=True)), "no traffic"),
        (lambda f: replace(f, route=replace(f.route, accepted=False)), "no traffic"),
        (lambda f: replace(f, visible_at=None), "visible breach"),
        (lambda f: replace(f, track=track_of((11, 5, True), (14, 0, False))), "visible breach"),
        (lambda f: replace(f, visible_at=-10.0), "visible breach"),
        (lambda f: replace(f, requests=requests("2.3.0", 16.0)), "real traffic"),
        (lambda f: replace(f, requests=(*f.requests, *requests("2.3.0", 17.0, 1, 503))), "met it afterwards"),
        (lambda f: replace(f, requests=(*f.requests, *requests("2.3.2", 17.0, 1))), "met it afterwards"),
        (lambda f: replace(f, requests=(*f.requests, *requests("", 17.0, 1, 0))), "met it afterwards"),
        (lambda f: replace(f, requests=f.requests[:59]), "met it afterwards"),
        (lambda f: replace(f, requests=tuple(r._replace(seconds=0.3) for r in f.requests)), "p95"),
    ],
)
def test_every_flaw_of_a_rollback_breaks_its_claim(spoil: Callable[[RollbackFacts], RollbackFacts], words: str) -> None:
    assert any(words in text for text in broken(spoil(rolled_back()).claims()))


def test_a_failure_within_a_second_of_safety_is_not_counted_as_later() -> None:
    facts = rolled_back()
    late = replace(facts, requests=(*facts.requests, *requests("2.3.2", 15.0, 1, 500)))

    assert late.figures().requests_failed_after_safe == 0


def test_a_rollback_before_the_demos_next_poll_took_no_time() -> None:
    assert replace(rolled_back(), visible_at=14.6).figures().visible_to_safe_seconds == 0.0


def test_all_claims_hold_for_a_good_promotion() -> None:
    facts = promoted()

    assert broken(facts.claims()) == []
    assert msgspec.to_builtins(facts.figures()) == {"version": "2.3.0", "seconds": 35.0}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: replace(f, status=msgspec.structs.replace(f.status, phase=Phase.PAUSED)), "is Healthy"),
        (lambda f: replace(f, track=track_of((7, 0, True), (30, 100, True), backend=GOOD.backend)), "went through"),
        (
            lambda f: replace(f, route=RouteView({GOOD.backend: 95.0, "other": 5.0}, accepted=True)),
            "all of the traffic",
        ),
        (lambda f: replace(f, requests=(*f.requests, *requests("2.2.4", 43.0, 1))), "nobody else"),
        (lambda f: replace(f, requests=f.requests[:50]), "nobody else"),
        (lambda f: replace(f, status=msgspec.structs.replace(f.status, history=())), "history"),
        (lambda f: replace(f, requests=(*f.requests, *requests("2.3.0", 20.0, 1, 503))), "no request failed"),
        (lambda f: replace(f, requests=()), "no request failed"),
    ],
)
def test_every_flaw_of_a_promotion_breaks_its_claim(
    spoil: Callable[[PromotionFacts], PromotionFacts], words: str
) -> None:
    assert any(words in text for text in broken(spoil(promoted()).claims()))


@pytest.mark.parametrize(("per_tick", "holds"), [(0.0, False), (2.04, True), (8.0, True), (8.1, False)])
def test_the_operator_must_query_prometheus_but_not_too_often(per_tick: float, *, holds: bool) -> None:
    assert [claim.holds for claim in claims_of_queries(per_tick)] == [holds]


def test_the_result_is_written_in_the_documented_format(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    result = Result(
        ok=True,
        promoted=(Promoted(version="2.3.0", seconds=35.0),),
        rollbacks=(rolled_back().figures(),),
        queries_per_tick=2.5,
    )
    result.write(file)

    written = json.loads(file.read_text())
    assert list(written) == ["ok", "promoted", "rollbacks", "queriesPerTick"]
    assert written["promoted"] == [{"version": "2.3.0", "seconds": 35.0}]
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_safe_at_is_reset_when_traffic_returns() -> None:
    track = track_of((11, 5, True), (14, 0, True), (15, 5, True))

    assert track.safe_at is None
    assert (track.exposed_at, track.weights, track.highest) == (11, [5, 0, 5], 5)


def test_a_version_that_never_had_traffic_has_no_safe_at() -> None:
    assert track_of((11, 0, True), (12, 0, True)).safe_at is None


@pytest.mark.parametrize(
    ("weights", "planned"), [([0, 5, 100], True), ([5, 100], True), ([0, 100], False), ([0, 5, 0, 5, 100], False)]
)
def test_shares_must_rise_exactly_as_planned(weights: list[float], *, planned: bool) -> None:
    assert rises_as_planned(weights, (0, 5, 100)) is planned


@pytest.mark.parametrize(
    ("counts", "visible"),
    [
        (Counts(100, 3), True),
        (Counts(100, 2), False),
        (Counts(1000, 5), False),
        (Counts(1000, 6), True),
        (Counts(0, 0), False),
    ],
)
def test_a_breach_is_visible_from_three_bad_requests_over_the_limit(counts: Counts, *, visible: bool) -> None:
    assert is_visible(ERRORS, counts) is visible


def test_a_named_query_cannot_be_measured_by_the_demo() -> None:
    with pytest.raises(DemoError, match="drift_score"):
        expression(parse_abort_condition("drift_score > 0.3"), "demo_x_80")


def an_http_route(**parent: object) -> dict[str, object]:
    conditions = [
        {"type": kind, "status": parent.get(kind, "True"), "observedGeneration": parent.get("generation", 3)}
        for kind in ("Accepted", "ResolvedRefs")
    ]
    refs = [{"name": STABLE.backend, "weight": 9500}, {"name": GOOD.backend, "weight": 500}]
    return {
        "metadata": {"name": "fraud-detector", "generation": 3},
        "spec": {"parentRefs": [{"name": "serinus"}], "rules": [{"name": "predict", "backendRefs": refs}]},
        "status": {"parents": [{"conditions": conditions}]},
    }


def test_the_shares_of_a_route_are_percentages_of_its_rule() -> None:
    view = route_view(an_http_route(), "predict")

    assert (view.weight(STABLE.backend), view.weight(GOOD.backend), view.weight("gone")) == (95.0, 5.0, 0.0)
    assert view.accepted


@pytest.mark.parametrize("parent", [{"generation": 2}, {"Accepted": "False"}, {"ResolvedRefs": "False"}])
def test_a_route_is_not_accepted_until_every_parent_has_accepted_this_generation(parent: dict[str, object]) -> None:
    assert not route_view(an_http_route(**parent), "predict").accepted


def test_a_route_without_parent_status_is_not_accepted() -> None:
    assert not route_view(an_http_route() | {"status": {}}, "predict").accepted


def test_a_route_without_the_rule_is_an_error_that_names_both() -> None:
    with pytest.raises(DemoError, match="fraud-detector has no rule named 'explain'"):
        route_view(an_http_route(), "explain")
