"""Which gRPC calls of a tick failed: the query and its rows. Builds text and reads rows only."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from serinus.metrics.increments import RequestCounts
from serinus.metrics.label_sets import Row
from serinus.metrics.plausible import Increments
from serinus.metrics.presets import GrpcStatus, Key, Preset
from serinus.metrics.promql import matches, tagged
from serinus.metrics.queries import KEPT, PART, TAG, Reach, increase, kept_number


def grpc_query(preset: Preset, grpc: GrpcStatus, keys: frozenset[Key], reach: Reach) -> str:
    """Return the increments of failed gRPC calls, by backend, tagged with the counter."""
    presence = preset.selector(preset.presence, keys)
    rows = []
    for counter in grpc_counters(grpc):
        growth = increase(preset.selector(counter, keys), presence, "", reach)
        rows.append(tagged(f"sum by ({preset.by}) ({growth})", TAG, counter))
    return " or ".join(rows)


def grpc_counters(grpc: GrpcStatus) -> tuple[str, ...]:
    """Return the counters of failed calls."""
    return (grpc.failures, *grpc.client_failures, grpc.unavailable)


def grpc_sums_query(preset: Preset, grpc: GrpcStatus, keys: frozenset[Key], span: int) -> str:
    """Return the sums of these counters as they are now, and of how many targets the calls went on (``sums_query``)."""
    selector = preset.selector("", keys, matches("__name__", grpc_counters(grpc)))
    sums = f'label_replace(sum by ({preset.by}, __name__) ({selector}), "{TAG}", "$1", "__name__", "(.+)")'
    return f"{sums} or {tagged(kept_number(preset, preset.selector(grpc.calls, keys), span), PART, KEPT)}"


@dataclass(frozen=True, slots=True)
class GrpcFailures:
    """A backend's failed gRPC calls: by its own fault, by the caller's, and those that the data plane answered."""

    own: float = 0.0
    callers: float = 0.0
    unavailable: float = 0.0

    def added_to(self, counts: RequestCounts) -> RequestCounts:
        """Return the counts with these failures; a call that the data plane answered with 5xx is counted once."""
        server = self.own + max(0.0, counts.server_errors - self.unavailable)
        return RequestCounts(counts.requests, server, counts.client_errors + self.callers)


def read_grpc(grpc: GrpcStatus, preset: Preset, rows: Iterable[Row]) -> dict[Key, GrpcFailures]:
    """Read the rows of the query about gRPC."""
    found: dict[Key, dict[str, float]] = {}
    for labels, count in rows:
        counters, counter = found.setdefault(preset.key_of(labels), {}), labels.get(TAG, "")
        counters[counter] = counters.get(counter, 0.0) + count
    failures: dict[Key, GrpcFailures] = {}
    for key, counters in found.items():
        callers = sum(counters.get(one, 0.0) for one in grpc.client_failures)
        own = max(0.0, counters.get(grpc.failures, 0.0) - callers)
        failures[key] = GrpcFailures(own, callers, counters.get(grpc.unavailable, 0.0))
    return failures


def with_grpc(
    preset: Preset, requests: Increments[RequestCounts], rows: Iterable[Row] = ()
) -> Increments[RequestCounts]:
    """Return the requests with the failed calls that these rows of ``grpc_query`` tell of."""
    failures = read_grpc(preset.grpc, preset, rows) if preset.grpc is not None else {}
    if not failures:
        return requests
    counts = {
        key: failures[key].added_to(counted) if key in failures else counted for key, counted in requests.counts.items()
    }
    return replace(requests, counts=counts)
