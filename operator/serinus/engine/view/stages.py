"""The stages of a Rollout as an on-call engineer reads them, and the traffic that they give the candidate."""

from datetime import datetime, timedelta

from msgspec import Struct

from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from serinus.api.rollout import RolloutSpec, Stage
from serinus.api.rollout_status import CurrentStage, Phase, RolloutStatus, RunResult, StageState, TrafficPoint
from serinus.api.route import RuleId
from serinus.engine.analysis.text import span
from serinus.engine.view.checks import Mark
from serinus.engine.view.standing import Standing


class StageView(Struct, frozen=True, kw_only=True):
    """A stage of the plan; ``length`` says how long it watches, or how much of that is over."""

    name: str
    traffic: str
    mark: Mark
    state: str = ""
    length: str = ""


class TrafficView(Struct, frozen=True, kw_only=True):
    """The candidate's traffic: what the plan gives it, what the gateway has accepted, and what the operator says.

    Attributes:
        route: such as ``HTTPRoute/fraud[predict]``; empty before the first run.
        desired: percent that the stage gives; None where no candidate is there.
        mark: good where the gateway has accepted the weights and the requests agree.
        confirmed: ``accepted``, ``not accepted`` or ``not known``.
        message: the condition TrafficConfirmed in words.
        observed: percent of the latest requests that the candidate has answered; None where that is not known.
        requests: that the observed share rests on.
    """

    route: str
    desired: float | None
    mark: Mark
    confirmed: str
    message: str
    observed: float | None = None
    requests: int = 0


def stages_of(
    spec: RolloutSpec | None, status: RolloutStatus, standing: Standing, now: datetime
) -> tuple[StageView, ...]:
    """Return the stages of the plan, each with how far the run is in it at ``now`` (UTC)."""
    current = status.stage
    if spec is None:
        return (StageView(name=current.name, traffic="", mark=Mark.ACTIVE),) if current is not None else ()
    views = []
    for index, stage in enumerate(spec.stages):
        here = current if current is not None and current.index == index else None
        watch = stage.watch.value
        views.append(
            StageView(
                name=stage.name,
                traffic=traffic_text(stage),
                mark=_mark_of(index, status, standing),
                state=here.state.value if here is not None and status.rollback is None else "",
                length=_length(here, status, watch, now) if here is not None else span(watch) if watch else "",
            )
        )
    return tuple(views)


def traffic_text(stage: Stage) -> str:
    """Return the traffic that a stage gives, and of which percentage of the requests it gives copies."""
    return f"{stage.traffic} mirror {stage.mirror}" if stage.mirror is not None else str(stage.traffic)


def _mark_of(index: int, status: RolloutStatus, standing: Standing) -> Mark:
    if status.stage is None:
        done = status.phase is Phase.HEALTHY and status.reason == RunResult.PROMOTED.value
        return Mark.GOOD if done else Mark.NONE
    if index != status.stage.index:
        return Mark.GOOD if index < status.stage.index else Mark.NONE
    if status.rollback is not None:
        return Mark.BAD
    return Mark.HELD if standing is Standing.WAITS else Mark.ACTIVE


def _length(here: CurrentStage, status: RolloutStatus, watch: timedelta, now: datetime) -> str:
    """Return how much of the stage's time is over: up to the rollback where there was one."""
    end = status.rollback.decided_at if status.rollback is not None else now
    if here.state is not StageState.ANALYZING:
        return span(here.elapsed(end))
    spent = here.elapsed_in_state(end)
    return f"{span(spent)} of {span(watch)}" if watch else span(spent)


def traffic_of(spec: RolloutSpec | None, status: RolloutStatus) -> TrafficView:
    """Return the traffic of the candidate."""
    found = find_condition(status.conditions, ConditionType.TRAFFIC_CONFIRMED)
    words = {
        None: (Mark.NONE, "not known"),
        ConditionStatus.TRUE: (Mark.GOOD, "accepted"),
        ConditionStatus.FALSE: (Mark.WARNING, "not accepted"),
        ConditionStatus.UNKNOWN: (Mark.NONE, "not known"),
    }
    mark, confirmed = words[found.status if found is not None else None]
    route, seen = status.route, _last_seen(status)
    return TrafficView(
        route=RuleId(route.kind, route.name, route.rule_name).title if route is not None else "",
        desired=_desired(spec, status),
        mark=mark,
        confirmed=confirmed,
        message=found.message if found is not None else "",
        observed=seen.observed if seen is not None else None,
        requests=seen.requests if seen is not None else 0,
    )


def _last_seen(status: RolloutStatus) -> TrafficPoint | None:
    """Return the last observed share; None where the share has changed since."""
    candidate = status.candidate
    last = next((one for one in reversed(status.traffic) if one.observed is not None), None)
    if candidate is None or last is None or last.desired != candidate.weight or not candidate.weight:
        return None
    return last


def _desired(spec: RolloutSpec | None, status: RolloutStatus) -> float | None:
    """Return the percentage that the candidate is to have: none once it was rolled back."""
    if status.candidate is None:
        return None
    if status.rollback is not None:
        return 0.0
    if spec is None or status.stage is None or status.stage.index >= len(spec.stages):
        return status.candidate.weight
    if status.stage.state is StageState.PREPARING:
        return status.candidate.weight
    return spec.stages[status.stage.index].traffic.parts / 100
