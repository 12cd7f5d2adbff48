"""Why the conditions of a Rollout can never be measured, such as a preset or a query that does not exist."""

from collections.abc import Mapping

from serinus.api.names import ObjectKey
from serinus.api.preset_metrics import blind_to_grpc
from serinus.api.rollout import RolloutSpec
from serinus.engine.analysis.false_aborts import WARMUP_GUARDS
from serinus.engine.analysis.measurements import Subject
from serinus.ports.cluster_state import RolloutRecord
from serinus.ports.services import MetricSource
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.rollouts.stage_analysis import question_of


class MetricProblems:
    """Finds the problem of each plan once."""

    def __init__(self, cache: ClusterCache, sources: Mapping[str, MetricSource]) -> None:
        """Look for them in these sources, by their names, for the Rollouts in the cache."""
        self._cache = cache
        self._sources = sources
        self._problems: dict[ObjectKey, tuple[RolloutSpec, str]] = {}

    def forget(self, key: ObjectKey) -> None:
        """Drop what was found of a Rollout that is gone."""
        self._problems.pop(key, None)

    def of(self, record: RolloutRecord) -> str:
        """Return why the Rollout's conditions can never be measured; empty where they can."""
        plan = self._cache.last_plan(record)
        if plan is None:
            return ""
        key = record.meta.key
        cached = self._problems.get(key)
        if cached is not None and cached[0] is plan:
            return cached[1]
        problem = self._find(record, plan)
        if problem is not None:
            self._problems[key] = (plan, problem)
        return problem or ""

    def _find(self, record: RolloutRecord, plan: RolloutSpec) -> str | None:
        """Return the problem, empty where there is none; None where that is open because the version does not exist."""
        source = self._sources.get(plan.metrics.source)
        if source is None:
            available = ", ".join(sorted(self._sources)) or "none"
            return f"There is no metric source {plan.metrics.source}; the administrator has set up: {available}."
        model = ObjectKey(record.meta.key.namespace, plan.model)
        backend = next((one.backend for one in self._cache.versions(*model) if one.version == plan.version), None)
        if backend is None:
            return None
        desired = Subject(model.namespace, model.name, plan.version, backend)
        for conditions in plan.conditions:
            for condition in conditions:
                blind = blind_to_grpc(plan.route.rule.kind, plan.metrics.preset, condition.metric)
                problem = blind or source.problem_with(question_of(plan, desired, condition))
                if problem:
                    return f"{condition.text}: {problem}."
        return _uncounted(plan, desired, source)


def _uncounted(plan: RolloutSpec, desired: Subject, source: MetricSource) -> str:
    """Return which warm-up waits for requests that nothing counts; empty where there is none."""
    problems = [source.problem_with(question_of(plan, desired, guard)) for guard in WARMUP_GUARDS]
    by_requests = (
        index for index, stage in enumerate(plan.stages) if stage.warmup is not None and stage.warmup.requests
    )
    first = next(by_requests, None)
    if first is None or not all(problems):
        return ""
    return f"spec.stages[{first}].warmup.requests: nothing counts them: {problems[0]}. Write readyFor instead."
