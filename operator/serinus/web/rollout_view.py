"""What the page of one Rollout shows of its object and its route. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from serinus.api.conditions import Condition, ConditionType, find_condition
from serinus.api.modelversion import BackendRef
from serinus.api.rollout import RolloutSpec, Stage
from serinus.api.rollout_status import EvidenceStatus, Phase, RolloutStatus, Serving
from serinus.engine.analysis.false_aborts import FALSE_ABORTS_PER_RUN, conditions_in_run
from serinus.engine.rollout.observation import InvalidSpec
from serinus.engine.rollout.traffic.facts import backend_key
from serinus.engine.view.silence import silence
from serinus.engine.view.stages import traffic_text
from serinus.ports.cluster_state import RolloutRecord, RouteRecord, RouteRule
from serinus.web.attention import Attention, attention_of
from serinus.web.charts import EvidenceChart, evidence_chart

_BACK: Final = frozenset({Phase.ROLLING_BACK, Phase.ROLLED_BACK})
_UNKNOWN: Final = "not known"


class StageMark(StrEnum):
    """How far a stage of the plan is, in words that the page shows."""

    PASSED = "passed"
    UNDER_WAY = "under way"
    STOPPED = "stopped here"
    TO_COME = "to come"
    NOT_REACHED = "not reached"


@dataclass(frozen=True, slots=True)
class StageRow:
    """One stage of the plan; ``lasts`` is how long it must watch, ``state`` how far the current one is."""

    number: int
    name: str
    traffic: str
    lasts: str
    conditions: tuple[str, ...]
    mark: StageMark
    state: str
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightRow:
    """The shares of the traffic of one version, in percent as text.

    Attributes:
        desired: what the plan asks for now.
        written: its share in the rule of the HTTPRoute.
        confirmed: what the operator's status says.
    """

    role: str
    version: str
    desired: str
    written: str
    confirmed: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Judged:
    """The last judgement of one condition; ``chart`` is None where there are no points."""

    evidence: EvidenceStatus
    chart: EvidenceChart | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    """The parts of the page that follow from the object itself.

    Attributes:
        problem: what of the stored object cannot be read; empty where all can.
        unwatched: that nobody seems to watch the version on trial; empty where it is watched.
        confirmation: the condition TrafficConfirmed: whether the gateway accepts and observes the weights.
        parents: what each parent of the route says, in words.
    """

    record: RolloutRecord
    attention: Attention
    wanted: str
    problem: str
    unwatched: str
    stages: tuple[StageRow, ...]
    weights: tuple[WeightRow, ...]
    confirmation: Condition | None
    parents: tuple[str, ...]
    judged: tuple[Judged, ...]

    @property
    def status(self) -> RolloutStatus:
        """The Rollout's status."""
        return self.record.status


def rollout_view(record: RolloutRecord, route: RouteRecord | None, now: datetime) -> RolloutView:
    """Return the view of a Rollout at ``now`` (UTC); ``route`` is None where it cannot be read or none is named."""
    status, plan = record.status, plan_of(record)
    rule, unwatched = _rule(route, plan), silence(plan, status, now)
    return RolloutView(
        record=record,
        attention=_attention(status, unwatched=bool(unwatched)),
        wanted=plan.version if plan is not None else "",
        problem=_problem(record),
        unwatched=unwatched,
        stages=_stages(plan, status) if plan is not None else (),
        weights=_weights(plan, status, rule),
        confirmation=find_condition(status.conditions, ConditionType.TRAFFIC_CONFIRMED),
        parents=_parents(route),
        judged=_judged(plan, status),
    )


def plan_of(record: RolloutRecord) -> RolloutSpec | None:
    """Return the plan that is followed; of a spec that cannot be followed, what still guards a run; else None."""
    return record.spec.last if isinstance(record.spec, InvalidSpec) else record.spec


def _attention(status: RolloutStatus, *, unwatched: bool) -> Attention:
    stalled = find_condition(status.conditions, ConditionType.STALLED)
    ready = find_condition(status.conditions, ConditionType.BACKENDS_READY)
    return attention_of(
        status.phase,
        status.stage.state if status.stage is not None else "",
        stalled=stalled is not None and stalled.status == "True",
        backends_down=ready is not None and ready.status == "False",
        unwatched=unwatched,
    )


def _problem(record: RolloutRecord) -> str:
    spec = record.spec
    parts = [f"{spec.path}: {spec.problem}"] if isinstance(spec, InvalidSpec) else []
    return "; ".join([*parts, *([record.status_problem] if record.status_problem else [])])


def _stages(plan: RolloutSpec, status: RolloutStatus) -> tuple[StageRow, ...]:
    current = status.stage
    return tuple(
        StageRow(
            number=number + 1,
            name=stage.name,
            traffic=traffic_text(stage),
            lasts=str(stage.watch),
            conditions=stage.abort_on,
            mark=_mark(number, plan, status),
            state=current.state if current is not None and current.index == number else "",
            since=current.since if current is not None and current.index == number else None,
        )
        for number, stage in enumerate(plan.stages)
    )


def _mark(number: int, plan: RolloutSpec, status: RolloutStatus) -> StageMark:
    back = status.phase in _BACK
    if status.stage is None:
        served = status.stable is not None and status.stable.version == plan.version and not back
        return StageMark.PASSED if served else StageMark.NOT_REACHED if back else StageMark.TO_COME
    if number < status.stage.index:
        return StageMark.PASSED
    if number > status.stage.index:
        return StageMark.NOT_REACHED if back else StageMark.TO_COME
    return StageMark.STOPPED if back else StageMark.UNDER_WAY


def _weights(plan: RolloutSpec | None, status: RolloutStatus, rule: RouteRule | None) -> tuple[WeightRow, ...]:
    stage = _stage(plan, status)
    trial = 0.0 if status.phase in _BACK else stage.traffic.ratio * 100 if stage is not None else None
    rows = []
    for role, serving in (("stable", status.stable), ("candidate", status.candidate)):
        if serving is None:
            continue
        desired = trial if role == "candidate" else None if trial is None else 100 - trial
        if status.candidate is None:
            desired = 100.0
        rows.append(
            WeightRow(
                role=role,
                version=serving.version,
                desired=_share(desired),
                written=_share(_written(rule, serving)),
                confirmed=_share(serving.weight),
                since=serving.since,
            )
        )
    return tuple(rows)


def _stage(plan: RolloutSpec | None, status: RolloutStatus) -> Stage | None:
    index = status.stage.index if status.stage is not None else -1
    return plan.stages[index] if plan is not None and 0 <= index < len(plan.stages) else None


def _share(percent: float | None) -> str:
    return _UNKNOWN if percent is None else f"{percent:g}%"


def _rule(route: RouteRecord | None, plan: RolloutSpec | None) -> RouteRule | None:
    if route is None or plan is None:
        return None
    name = plan.route.rule.rule
    named = [rule for rule in route.rules if name is None or rule.name == name]
    return named[0] if len(named) == 1 else None


def _written(rule: RouteRule | None, serving: Serving) -> float | None:
    backend: BackendRef | None = serving.backend
    total = sum(entry.weight for entry in rule.entries) if rule is not None else 0
    if rule is None or backend is None or total <= 0:
        return None
    key = backend_key(backend)
    return 100 * sum(entry.weight for entry in rule.entries if entry.key == key) / total


def _parents(route: RouteRecord | None) -> tuple[str, ...]:
    if route is None:
        return ()
    return tuple(
        f"{parent.name}: {_accepted(parent.observed_generation, route.generation, accepted=parent.accepted)}"
        f"{f' ({parent.message})' if parent.message else ''}"
        for parent in route.parents
    )


def _accepted(observed: int, generation: int, *, accepted: bool) -> str:
    if not accepted:
        return "not accepted"
    if observed >= generation:
        return f"has accepted generation {generation}"
    return f"has accepted generation {observed}, the route is at {generation}"


def _judged(plan: RolloutSpec | None, status: RolloutStatus) -> tuple[Judged, ...]:
    needed = _needed(plan)
    back = status.rollback
    caused = back.condition if back is not None else ""
    ordered = sorted(status.evidence, key=lambda judged: (judged.verdict != "Breach", judged.guard))
    return tuple(
        Judged(
            judged,
            evidence_chart(
                judged, needed, back.decided_at if back is not None and caused == judged.condition else None
            ),
        )
        for judged in ordered
    )


def _needed(plan: RolloutSpec | None) -> float | None:
    """Return the evidence that is a breach in the Sequential judgement; None for a plan without conditions."""
    count = conditions_in_run(plan) if plan is not None else 0
    return count / FALSE_ABORTS_PER_RUN if count else None
