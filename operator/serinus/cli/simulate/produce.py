"""Runs the simulation that the options ask for, and prints it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, assert_never

from msgspec import structs

from serinus.api.abort_condition import AbortCondition, ErrorRate, Latency, NamedQuery, Value
from serinus.api.preset_metrics import family
from serinus.api.quantities import Duration
from serinus.cli.context import CliContext
from serinus.cli.kubectl import DEFAULT_NAMESPACE
from serinus.cli.output import echo
from serinus.cli.simulate import graphics, recorded_view, synthetic_view, terminal
from serinus.cli.simulate.alternatives import Alternative, alternatives, read_plan
from serinus.cli.simulate.command import PrometheusOptions, SimulateOptions, TrafficOptions
from serinus.cli.simulate.progress import progress
from serinus.cli.simulate.prometheus import Place, read_prometheus
from serinus.cli.simulate.recorded_view import Replayed
from serinus.cli.simulate.recording import Recording, read_recording, recorded_lines
from serinus.cli.simulate.synthetic import Simulator, simulator
from serinus.cli.simulate.synthetic_view import Result, Setting
from serinus.cli.simulate.view import View
from serinus.cli.times import resolve_time
from serinus.engine.analysis.false_aborts import GUARDS
from serinus.engine.simulation.cluster import stable_of
from serinus.engine.simulation.outcomes import Summary
from serinus.engine.simulation.plan import SimulatedPlan, simulated_plan
from serinus.engine.simulation.replay import replay
from serinus.engine.simulation.search import STEPS, Smallest, smallest_found
from serinus.engine.simulation.traffic import Quality, Traffic
from serinus.errors import ConfigurationError

_SEARCHED: Final = 200
"""Runs of each step of a search at most."""

MOST_TICKS: Final = 50_000
"""Ticks of a simulated run: more than eight days at 15 s."""

_LOWEST: Final = 0.0001
"""The smallest share of bad requests that a search tries: one in ten thousand."""


async def simulate(options: SimulateOptions, _: CliContext) -> int:
    """Simulate and print; return the exit status.

    Raises:
        SerinusError: the plan, the recording or the options are not usable, or Prometheus does not answer.
    """
    written = read_plan(options.file, options.rollout)
    name, plans = written.name, alternatives(options.file, written.spec, options.changes)
    try:
        match options.source:
            case TrafficOptions() as traffic:
                _synthetic(options, traffic, name, plans)
            case PrometheusOptions() as prometheus:
                _recorded(options, await _from_prometheus(options, prometheus, plans, written.namespace), name, plans)
            case Path() as file:
                _recorded(options, read_recording(file), name, plans)
            case _:
                assert_never(options.source)
    except (ValueError, OverflowError) as problem:
        raise ConfigurationError(f"{options.file}: {problem}") from problem
    return 0


def _synthetic(options: SimulateOptions, given: TrafficOptions, name: str, plans: Sequence[Alternative]) -> None:
    traffic = _traffic(given)
    simulated = [
        (one, simulated_plan(one.spec, scrape_interval=options.scrape_interval, first=options.stage,
                             guards=traffic.guards_matter))
        for one in plans
    ]  # fmt: skip
    for _, plan in simulated:
        _refuse_named(plan)
    most = given.longest or 2 * max(*(plan.length for _, plan in simulated), timedelta(minutes=1))
    # A search takes the plan's own time.
    _refuse_endless(max((most, *(plan.length for _, plan in simulated if given.find))), options.scrape_interval)
    runs = given.runs
    searches = sum(len(_regressions(plan)) for _, plan in simulated) if given.find else 0
    total = runs * len(simulated) + searches * (STEPS + 1) * min(runs, _SEARCHED)
    with progress("simulating", total) as told, simulator(given.seed, runs, told) as simulate_on:
        results = [_result(given, one, plan, (traffic, most), simulate_on) for one, plan in simulated]
    setting = Setting(rollout=name, traffic=traffic, runs=runs, seed=given.seed, most=most)
    _print(
        options.form, synthetic_view.synthetic_view(setting, results), synthetic_view.synthetic_json(setting, results)
    )


def _traffic(options: TrafficOptions) -> Traffic:
    candidate = Quality(
        errors=options.errors, p95=options.p95, client_errors=options.client_errors, unanswered=options.unanswered
    )
    stable = Quality(
        errors=options.errors if options.stable_errors is None else options.stable_errors,
        p95=options.stable_p95 or options.p95,
    )
    return Traffic(per_second=options.rate, candidate=candidate, stable=stable, burst=options.bursts)


def _refuse_endless(longest: timedelta, interval: timedelta) -> None:
    """Refuse more ticks than anybody would wait for."""
    if longest > MOST_TICKS * interval:
        raise ConfigurationError(
            f"--for: {Duration.of(longest)} are more than {MOST_TICKS:,} scrapes of {Duration.of(interval)}: simulate "
            "a shorter time, or a plan with shorter stages"
        )


def _refuse_named(plan: SimulatedPlan) -> None:
    for stage, conditions in zip(plan.spec.stages, plan.spec.conditions, strict=True):
        for condition in conditions:
            if isinstance(condition.metric, Value) or family(condition.metric):
                what = "a named query" if isinstance(condition.metric, NamedQuery) else "what a model server tells"
                raise ConfigurationError(
                    f"stage {stage.name}: {condition.text}: {what} has no value in synthetic traffic. Take the "
                    "line out of a copy of the manifest, or simulate with --recording"
                )


def _result(
    given: TrafficOptions,
    one: Alternative,
    plan: SimulatedPlan,
    setting: tuple[Traffic, timedelta],
    simulate_on: Simulator,
) -> Result:
    traffic, most = setting
    summary = simulate_on.summary(plan, traffic, given.runs, most)
    found: dict[str, Smallest | None] = {}
    for kind in _regressions(plan) if given.find else ():

        def runs_at(share: float, kind: str = kind) -> Summary:
            worse = _worse(traffic, kind, share)
            return simulate_on.summary(plan, worse, min(given.runs, _SEARCHED), plan.length)

        found[kind] = smallest_found(runs_at, _LOWEST)
    return Result(alternative=one, plan=plan, summary=summary, smallest=found)


def _regressions(plan: SimulatedPlan) -> tuple[str, ...]:
    """Return the kinds of regression that the plan's conditions could find."""
    metrics = [condition.metric for conditions in plan.spec.conditions for condition in conditions]
    errors = ("errors",) if any(isinstance(metric, ErrorRate) for metric in metrics) else ()
    return (*errors, "slow share") if any(isinstance(metric, Latency) for metric in metrics) else errors


def _worse(traffic: Traffic, kind: str, share: float) -> Traffic:
    candidate = traffic.candidate
    worse = replace(candidate, errors=share) if kind == "errors" else replace(candidate, slow=share)
    return replace(traffic, candidate=worse)


def _recorded(options: SimulateOptions, recording: Recording, name: str, plans: Sequence[Alternative]) -> None:
    try:
        interval = Duration(recording.header.scrape_interval).value
    except (ValueError, OverflowError) as problem:
        raise ConfigurationError(f"{options.source}, line 1: scrapeInterval: {problem}") from problem
    if options.record is not None:
        conditions = [*_conditions(plans), *GUARDS]
        _write(options.record, b"\n".join(recorded_lines(recording.header, recording.ticks, conditions)) + b"\n")
    results = []
    for one in plans:
        first = options.stage or recording.header.stage
        plan = simulated_plan(one.spec, scrape_interval=interval, first=first, answered=recording.known)
        results.append(Replayed(one, replay(plan, recording.header.began, recording.ticks)))
    began = recording.header.began
    _print(
        options.form,
        recorded_view.recorded_view(name, recording.header.version, began, results),
        recorded_view.recorded_json(name, began, results),
    )


def _conditions(plans: Sequence[Alternative]) -> dict[AbortCondition, None]:
    return dict.fromkeys(condition for one in plans for conditions in one.spec.conditions for condition in conditions)


async def _from_prometheus(
    options: SimulateOptions, prometheus: PrometheusOptions, plans: Sequence[Alternative], namespace: str
) -> Recording:
    spec, now = plans[0].spec, datetime.now(UTC)
    stable = prometheus.stable_backend
    place = Place(
        url=prometheus.url,
        scrape_interval=options.scrape_interval,
        namespace=prometheus.namespace or namespace or DEFAULT_NAMESPACE,
        model=spec.model,
        candidate=(spec.version, prometheus.candidate_backend),
        stable=(stable_of(spec), stable) if stable is not None else None,
    )
    asked = dict.fromkeys(GUARDS, False) | dict.fromkeys(_conditions(plans), True)
    period = resolve_time(prometheus.begin, now), resolve_time(prometheus.end, now)
    recording = await read_prometheus(place, spec.metrics, asked, period)
    return replace(recording, header=structs.replace(recording.header, stage=options.stage))


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as problem:
        raise ConfigurationError(f"{file} cannot be written: {problem.strerror}") from problem


def _print(form: str, view: View, told: dict[str, Any]) -> None:
    match form:
        case "json":
            echo(json.dumps(told, indent=2, ensure_ascii=False))
        case "svg":
            _print_text(graphics.render_svg(view))
        case "html":
            _print_text(graphics.render_html(view))
        case _:
            _print_text(terminal.render_text(view))


def _print_text(text: str) -> None:
    for line in text.splitlines():
        echo(line)
