"""Whether an operator runs, and what its configuration and its metric sources say."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from serinus import __version__
from serinus.api.abort_condition import AbortCondition, parse_abort_condition
from serinus.api.names import GROUP, ROLLOUT
from serinus.api.parsing import decode
from serinus.cli.check.cluster import OPERATORS, Cluster, members, text_at, value_at
from serinus.cli.check.lease import by_lease
from serinus.cli.check.line import Line, failed, ok, unknown, warning
from serinus.cli.check.prometheus import (
    Prometheus,
    ProxiedPrometheus,
    bounds_in,
    histogram_of,
    is_interval,
    measured_interval,
    presets_with_series,
    proxy_path,
    shown_bounds,
)
from serinus.errors import InvalidObjectError, NotFoundError, RefusedError, SerinusError
from serinus.metrics.presets import PRESETS, Histogram, Preset
from serinus.settings import Settings
from serinus.source_settings import SourceSettings
from serinus.yaml_text import YamlTextError, read_yaml


def operator(cluster: Cluster, now: datetime) -> tuple[list[Line], Settings | None]:
    """Return whether an operator runs, and its configuration; None where there is none or the user may not read it."""
    try:
        found = cluster.get("deployments", OPERATORS, everywhere=True)
    except RefusedError:
        remedy = "ask an administrator: serinus check"
        return [unknown("operator", "you may not see Deployments of all namespaces", remedy)], None
    if not found:
        return by_lease(cluster, now), None
    namespace, name = text_at(found[0], "metadata", "namespace"), text_at(found[0], "metadata", "name")
    ready = value_at(found[0], "status", "readyReplicas") or 0
    if not ready:
        remedy = f"see why: kubectl describe pods -n {namespace}, kubectl logs deployment/{name} -n {namespace}"
        lines = [failed("operator", f"{namespace}/{name} has no ready pod", remedy)]
    else:
        lines = [ok("operator", f"{namespace}/{name} has {ready} ready")]
    version = text_at(found[0], "metadata", "labels", "app.kubernetes.io/version")
    if version and version != __version__:
        said = f"the operator is {version}, this client {__version__}"
        lines.append(warning("version", said, "use the same version of both"))
    settings, line = _settings(cluster, namespace, name)
    return [*lines, line], settings


def _settings(cluster: Cluster, namespace: str, name: str) -> tuple[Settings | None, Line]:
    try:
        found = Cluster(namespace, cluster.kube_context).get("configmap", name)
    except RefusedError:
        remedy = f"ask an administrator, or: kubectl get configmap {name} -n {namespace}"
        return None, unknown("configuration", f"you may not read ConfigMap {namespace}/{name}", remedy)
    text = value_at(found[0], "data", "config.yaml") if found else None
    try:
        (raw,) = read_yaml(text) if isinstance(text, str) else [None]
        settings = decode(Settings, raw, "config.yaml")
    except (YamlTextError, InvalidObjectError, ValueError) as problem:
        return None, failed("configuration", f"ConfigMap {namespace}/{name}: {problem}", "correct the chart's values")
    return settings, ok("configuration", f"sources: {', '.join(sorted(settings.sources))}")


def sources(cluster: Cluster, settings: Settings) -> Iterator[Line]:
    """Yield whether each metric source answers, how often it scrapes, and which preset it has series of."""
    for name, source in sorted(settings.sources.items()):
        proxy = proxy_path(source.url)
        if proxy is None:
            said = f"{source.url} is not a Service of the cluster, so only the operator can reach it"
            yield unknown(f"source-{name}", said, "see the condition MetricsAvailable of a Rollout")
            continue
        prometheus = ProxiedPrometheus(cluster, proxy)
        try:
            up = prometheus.query("vector(1)")
        except RefusedError:
            said = "you may not ask Services through the API server (get services/proxy)"
            yield unknown(f"source-{name}", said, "see the condition MetricsAvailable of a Rollout")
            continue
        except (NotFoundError, SerinusError) as problem:
            yield failed(f"source-{name}", f"{source.url} does not answer: {problem}", f"correct sources.{name}.url")
            continue
        if not up:
            yield failed(f"source-{name}", f"{source.url} does not answer as Prometheus", f"correct sources.{name}.url")
            continue
        yield ok(f"source-{name}", f"{source.url} answers queries")
        try:
            yield from _series(cluster, name, source, prometheus)
        except SerinusError as problem:
            yield unknown(f"series-{name}", f"a query was not answered: {problem}", "try again")


def _series(cluster: Cluster, name: str, source: SourceSettings, prometheus: Prometheus) -> Iterator[Line]:
    found = presets_with_series(prometheus, PRESETS.values())
    fitting = [preset for preset in PRESETS.values() if preset.name in found]
    if not fitting:
        names = ", ".join(sorted(PRESETS))
        remedy = "let Prometheus scrape the gateway; of another data plane, write named queries"
        yield warning(f"preset-{name}", f"no series of a preset is there ({names})", remedy)
        return
    yield ok(f"preset-{name}", f"there are series of {' and '.join(preset.name for preset in fitting)}")
    yield from _interval(name, source, prometheus, fitting[0])
    yield from _conditions(cluster, name)
    histogram = fitting[0].histogram
    if histogram is not None:
        yield from _bounds(cluster, name, prometheus, fitting[0], histogram)


def _interval(name: str, source: SourceSettings, prometheus: Prometheus, preset: Preset) -> Iterator[Line]:
    measured = measured_interval(prometheus, preset)
    if measured is None:
        return
    said = f"scraped about every {measured:.3g} s, configured is {source.scrape_interval}"
    if is_interval(measured, source.scrape_interval):
        yield ok(f"scrape-{name}", said)
    else:
        yield warning(f"scrape-{name}", said, f"set sources.{name}.scrapeInterval to the real interval")


def _conditions(cluster: Cluster, name: str) -> Iterator[Line]:
    """Yield a failure where a Rollout of this source has a condition that its preset has no series of."""
    for rollout, condition in _written(cluster):
        if _metrics_of(rollout, "source", "default") != name:
            continue
        preset = PRESETS.get(_metrics_of(rollout, "preset", "contour"))
        problem = preset.problem_of_metric(condition.metric) if preset is not None else ""
        if problem:
            said = f"{text_at(rollout, 'metadata', 'name')}: {condition.text}: {problem}"
            yield failed(f"conditions-{name}", said, "set spec.metrics.preset, or correct abortOn")


def _metrics_of(rollout: Mapping[str, Any], field: str, default: str) -> str:
    return text_at(rollout, "spec", "metrics", field) or default


def _bounds(
    cluster: Cluster, name: str, prometheus: Prometheus, preset: Preset, histogram: Histogram
) -> Iterator[Line]:
    bounds = bounds_in(prometheus.query(f"count by (le) ({histogram.series})"))
    if bounds is None:
        yield warning(f"buckets-{name}", f"{histogram.series} has no buckets", histogram.advice)
        return
    shown = shown_bounds(bounds.finite, histogram)
    between = sorted(
        f"{condition.text} of {text_at(rollout, 'metadata', 'name')}"
        for rollout, condition in _written(cluster)
        if histogram_of(preset, condition) is histogram
        and not bounds.bracket(condition.threshold * histogram.per_second).exact
    )
    if between:
        said = f"between two buckets, so counted less exactly: {', '.join(between)}"
        yield warning(f"buckets-{name}", said, f"choose a limit in ms of {shown}")
    else:
        yield ok(f"buckets-{name}", f"latency limits that are counted exactly, in ms: {shown}")


def _written(cluster: Cluster) -> Iterator[tuple[Mapping[str, Any], AbortCondition]]:
    """Yield the conditions of the namespace's Rollouts."""
    for rollout in cluster.get(f"{ROLLOUT.plural}.{GROUP}"):
        stages = members(rollout, "spec", "stages")
        lines = {line for stage in stages for line in stage.get("abortOn") or [] if isinstance(line, str)}
        for line in sorted(lines):
            try:
                yield rollout, parse_abort_condition(line)
            except ValueError:
                continue
