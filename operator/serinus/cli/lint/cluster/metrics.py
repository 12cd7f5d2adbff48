"""Whether the metric source and the preset of a Rollout can measure its conditions."""

from collections.abc import Iterator
from typing import Final

from serinus.api.abort_condition import NamedQuery
from serinus.api.modelversion import BackendRef
from serinus.api.preset_metrics import blind_to_grpc
from serinus.cli.check.prometheus import is_interval, measured_interval, presets_with_series
from serinus.cli.lint.cluster.buckets import bucket_problems
from serinus.cli.lint.cluster.objects import Found, NotAsked
from serinus.cli.lint.cluster.plans import Located, Plan, not_asked
from serinus.cli.lint.cluster.routes import readable_facts
from serinus.cli.lint.cluster.sources import Source, Sources
from serinus.cli.lint.finding import Check, Level, Problem
from serinus.engine.rollout.traffic.facts import BackendKey
from serinus.errors import SerinusError
from serinus.metrics.named import missing_query
from serinus.metrics.presets import PRESETS, Preset, preset_problem
from serinus.settings import Settings

_AT_PRESET: Final = "spec.metrics.preset"
_AT_SOURCE: Final = "spec.metrics.source"


def metric_problems(plan: Plan, sources: Sources) -> Iterator[Located]:
    """Yield what keeps the conditions of a Rollout from being measured."""
    for problem in _problems(plan, sources):
        yield plan.document, problem


def _problems(plan: Plan, sources: Sources) -> Iterator[Problem]:
    name = plan.spec.metrics.source
    configuration = sources.configuration
    if isinstance(configuration, Settings) and name not in configuration.sources:
        known = ", ".join(sorted(configuration.sources)) or "none"
        said = f"the operator has no metric source {name}; it has {known}"
        yield Problem(Check.METRIC_SOURCE, _AT_SOURCE, said, "name one of them, or let the administrator add it")
        return
    yield from _unmeasurable(plan, sources)
    preset = PRESETS.get(plan.spec.metrics.preset)
    if preset is None or not _uses_preset(plan):
        return
    source = sources.reach(name)
    if isinstance(source, NotAsked):
        yield not_asked(_AT_PRESET, f"Prometheus has the series of preset {preset.name}", source)
        return
    try:
        yield from _series_problems(plan, source, preset)
    except SerinusError as problem:
        answer = NotAsked(f"a query was not answered: {problem}", "try again")
        yield not_asked(_AT_PRESET, f"Prometheus has all series of preset {preset.name}", answer)


def _uses_preset(plan: Plan) -> bool:
    """Return whether a condition is measured with the preset: named queries are not."""
    return any(
        not isinstance(condition.metric, NamedQuery) for conditions in plan.spec.conditions for condition in conditions
    )


def _unmeasurable(plan: Plan, sources: Sources) -> Iterator[Problem]:
    """Yield the conditions that the operator would refuse for this version's backend."""
    settings = sources.settings_of(plan.spec.metrics.source)
    backend = plan.versions[0].backend
    for stage, conditions in enumerate(plan.spec.conditions):
        for line, condition in enumerate(conditions):
            if not isinstance(condition.metric, NamedQuery):
                preset, kind = plan.spec.metrics.preset, plan.spec.route.rule.kind
                said = blind_to_grpc(kind, preset, condition.metric) or preset_problem(
                    preset, backend, condition.metric
                )
            elif settings is not None:
                said = missing_query(plan.spec.metrics.source, condition.metric, settings.queries)
            else:
                continue
            if said:
                path = f"spec.stages[{stage}].abortOn[{line}]"
                yield Problem(Check.CONDITION, path, f"{condition.text} cannot be measured: {said}")


def _series_problems(plan: Plan, source: Source, preset: Preset) -> Iterator[Problem]:
    present = presets_with_series(source, PRESETS.values())
    if preset.name not in present:
        others = ", ".join(sorted(present))
        there = f"; it has series of {others}" if others else " and of no other preset"
        said = f"Prometheus of source {source.name} has no series of preset {preset.name} ({preset.presence}){there}"
        remedy = "name the preset of the data plane that carries the route, or let Prometheus scrape that"
        yield Problem(Check.NO_SERIES, _AT_PRESET, said, remedy, level=Level.WARNING)
        return
    yield from _backend_problems(plan, source, preset)
    yield from _interval_problems(source, preset)
    yield from bucket_problems(plan, source, preset)


def _backend_problems(plan: Plan, source: Source, preset: Preset) -> Iterator[Problem]:
    """Yield which backends have traffic of the route now, and no series."""
    backends = serving_backends(plan, preset)
    if not backends:
        return
    keys = frozenset(preset.key(plan.namespace, backend) for backend in backends.values())
    rows = source.query(f"count by ({preset.by}) ({preset.selector(preset.presence, keys)})")
    present = {preset.key_of(row.labels) for row in rows}
    lacking = [label for label, backend in backends.items() if preset.key(plan.namespace, backend) not in present]
    if lacking:
        said = (
            f"Prometheus of source {source.name} has no series of preset {preset.name} for {', '.join(lacking)}, "
            f"which {plan.spec.route.rule.title} gives traffic"
        )
        remedy = f"name the preset of what carries the route; it counts a backend in {preset.presence}"
        yield Problem(Check.NO_SERIES, _AT_PRESET, said, remedy, level=Level.WARNING)


def serving_backends(plan: Plan, preset: Preset) -> dict[str, BackendRef]:
    """Return by label the backends that the stored route gives traffic, as far as the preset can tell them apart."""
    if not isinstance(plan.route, Found) or plan.route.document is not None:
        return {}
    facts = readable_facts(plan)
    if facts is None:
        return {}
    keys = [entry.key for entry in facts.entries if entry.weight and _is_told_apart(entry.key, preset)]
    return {key.label: BackendRef(name=key.name, port=key.port, group=key.group, kind=key.kind) for key in keys}


def _is_told_apart(key: BackendKey, preset: Preset) -> bool:
    # A slash is in the name of a backend of another namespace.
    return key.kind in preset.kinds and key.port is not None and not key.subset and "/" not in key.name


def _interval_problems(source: Source, preset: Preset) -> Iterator[Problem]:
    if source.settings is None:
        return
    configured, measured = source.settings.scrape_interval, measured_interval(source, preset)
    if measured is None:
        answer = NotAsked("its series are too young", "try again in five minutes")
        yield not_asked(_AT_SOURCE, f"source {source.name} is scraped every {configured}", answer)
    elif not is_interval(measured, configured):
        said = f"source {source.name} is scraped about every {measured:.3g} s, and configured as {configured}"
        remedy = f"let the administrator set sources.{source.name}.scrapeInterval to the real interval"
        yield Problem(Check.SCRAPE_INTERVAL, _AT_SOURCE, said, remedy, level=Level.WARNING)
