"""The demo's result: claims, each with what was observed, and figures written as JSON."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from demo.cluster import RouteView
from demo.manifests import Version
from demo.settings import LOCAL_PACE
from demo.track import Track, rises_as_planned
from demo.traffic.requestlog import RequestRecord, between, count_by_version, quantile
from serinus.api.abort_condition import AbortCondition
from serinus.api.rollout_status import Phase, RollbackReason, RolloutStatus, RunResult

MAX_QUERIES_PER_TICK: Final = 8.0
"""Five, as nobody speaks gRPC, and three at ticks at which counters are new."""
CANARY_PERCENT: Final = 5.0
PLANNED: Final = (0.0, CANARY_PERCENT, 100.0)
_ALL: Final = 100.0
_P95: Final = 0.95
_P95_LIMIT_SECONDS: Final = 0.2


class Promoted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A promoted version, and the seconds from the change of ``spec.version`` to 100 %."""

    version: str
    seconds: float


class RolledBack(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A version that was rolled back; ``docs/tutorial.md`` defines the fields."""

    version: str
    condition: str
    value: str
    at_weight: float
    visible_to_safe_seconds: float
    requests_to_bad_version: int
    requests_failed_after_safe: int


class Result(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The content of ``.demo/result.json``."""

    ok: bool
    promoted: tuple[Promoted, ...] = ()
    rollbacks: tuple[RolledBack, ...] = ()
    queries_per_tick: float | None = None

    def write(self, path: Path) -> None:
        """Write it as JSON, atomically."""
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")
        part.replace(path)


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement about the demo, whether it holds, and what was observed."""

    text: str
    holds: bool
    observed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionFacts:
    """The observations of a run that should end in a promotion.

    Attributes:
        started: when ``spec.version`` was changed, in seconds since 1970.
        ended: when the end of the run was observed, likewise.
        requests: requests of the load generator since ``started``.
        settled: seconds after which an accepted route is in effect: from then on nobody else may answer.
    """

    version: Version
    started: float
    ended: float
    status: RolloutStatus
    route: RouteView
    track: Track
    requests: tuple[RequestRecord, ...]
    settled: float = LOCAL_PACE.settled

    def figures(self) -> Promoted | None:
        """Return the figures for the result, or None if the version was not promoted."""
        stable = self.status.stable
        if self.status.phase is not Phase.HEALTHY or stable is None or stable.version != self.version.number:
            return None
        return Promoted(version=self.version.number, seconds=round(self.ended - self.started, 2))

    def claims(self) -> tuple[Claim, ...]:
        """Return the claims about the promotion."""
        number, stable = self.version.number, self.status.stable
        failed = sum(record.failed for record in self.requests)
        last = self.status.history[0].result if self.status.history else None
        after = count_by_version(between(self.requests, self.ended + self.settled))
        return (
            Claim(
                f"{number}: it is Healthy at 100%",
                self.figures() is not None and stable is not None and stable.weight == _ALL,
                self.status.summary or self.status.phase.value,
            ),
            Claim(
                f"{number}: it went through 5% to 100%, each accepted by the gateway",
                rises_as_planned(self.track.weights, PLANNED),
                f"accepted shares: {self.track.weights}",
            ),
            Claim(
                f"{number}: the gateway gives it all of the traffic",
                self.route.accepted and self.route.weight(self.version.backend) == _ALL,
                f"{dict(self.route.weights)}, accepted: {self.route.accepted}",
            ),
            Claim(f"{number}: nobody else answers afterwards", set(after) == {number}, str(dict(after))),
            Claim(f"{number}: the history says that it was promoted", last is RunResult.PROMOTED, str(last)),
            Claim(
                f"{number}: no request failed meanwhile",
                failed == 0 < len(self.requests),
                f"{failed} of {len(self.requests)}",
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackFacts:
    """The observations of a run that should end in a rollback.

    Attributes:
        condition: the condition that should be breached.
        stable: the version that should have all traffic afterwards.
        visible_at: when Prometheus first showed the breach, in seconds since 1970, or None.
        requests: requests of the load generator since ``spec.version`` was changed.
        settled: seconds after which an accepted route is in effect: requests sent later must not reach the bad version.
        safe_within: seconds that it may take from a visible breach to weight 0.
    """

    version: Version
    condition: AbortCondition
    stable: Version
    status: RolloutStatus
    route: RouteView
    track: Track
    visible_at: float | None
    requests: tuple[RequestRecord, ...]
    settled: float = LOCAL_PACE.settled
    safe_within: float = LOCAL_PACE.safe

    def figures(self) -> RolledBack:
        """Return the figures for the result; -1 s if the breach or its end was not observed."""
        rollback, number = self.status.rollback, self.version.number
        return RolledBack(
            version=number,
            condition=rollback.condition if rollback else "",
            value=rollback.value if rollback else "",
            at_weight=rollback.at_weight if rollback else 0.0,
            visible_to_safe_seconds=self._visible_to_safe(),
            requests_to_bad_version=count_by_version(self.requests)[number],
            requests_failed_after_safe=sum(self._is_bad(record) for record in self._after_safe()),
        )

    def claims(self) -> tuple[Claim, ...]:
        """Return the claims about the rollback."""
        return (*self._claims_of_status(), *self._claims_of_traffic())

    def _claims_of_status(self) -> tuple[Claim, ...]:
        number, status, rollback, stable = self.version.number, self.status, self.status.rollback, self.status.stable
        return (
            Claim(
                f"{number}: it was rolled back for {self.condition.text}",
                status.phase is Phase.ROLLED_BACK
                and rollback is not None
                and (rollback.version, rollback.reason) == (number, RollbackReason.METRIC_BREACHED)
                and rollback.condition == self.condition.text,
                status.summary or status.phase.value,
            ),
            Claim(
                f"{number}: it was found at {CANARY_PERCENT:g}% and never had more",
                rollback is not None and rollback.at_weight == CANARY_PERCENT == self.track.highest,
                f"at {rollback.at_weight if rollback else 0:g}%, highest share {self.track.highest:g}%",
            ),
            Claim(
                f"{number}: {self.stable.number} is back at 100%",
                stable is not None and (stable.version, stable.weight) == (self.stable.number, _ALL),
                str(stable),
            ),
            Claim(f"{number}: it is quarantined", number in status.quarantined, f"quarantined: {status.quarantined}"),
        )

    def _claims_of_traffic(self) -> tuple[Claim, ...]:
        number, figures, after = self.version.number, self.figures(), self._after_safe()
        slowest = quantile(after, _P95)
        return (
            Claim(
                f"{number}: the gateway gives it no traffic",
                self.route.accepted and self.route.weight(self.version.backend) == 0.0,
                f"{dict(self.route.weights)}, accepted: {self.route.accepted}",
            ),
            Claim(
                f"{number}: from visible breach to weight 0 it took less than {self.safe_within:g} s",
                0 <= figures.visible_to_safe_seconds < self.safe_within,
                f"{figures.visible_to_safe_seconds:g} s",
            ),
            Claim(
                f"{number}: it had real traffic",
                figures.requests_to_bad_version > 0,
                f"{figures.requests_to_bad_version} requests",
            ),
            Claim(
                f"{number}: no request failed or met it afterwards",
                figures.requests_failed_after_safe == 0 < len(after),
                f"{figures.requests_failed_after_safe} of {len(after)}",
            ),
            Claim(
                f"{number}: afterwards p95 is below 200 ms", slowest < _P95_LIMIT_SECONDS, f"{slowest * 1000:.0f} ms"
            ),
        )

    def _visible_to_safe(self) -> float:
        if self.visible_at is None or self.track.safe_at is None:
            return -1.0
        # The operator may act on a scrape before the demo's next poll, up to 0.2 s later: never return a negative time.
        return round(max(0.0, self.track.safe_at - self.visible_at), 2)

    def _after_safe(self) -> list[RequestRecord]:
        safe = self.track.safe_at
        return [] if safe is None else between(self.requests, safe + self.settled)

    def _is_bad(self, record: RequestRecord) -> bool:
        return record.failed or record.version == self.version.number


def claims_of_queries(queries_per_tick: float) -> tuple[Claim, ...]:
    """Return the claims about the operator's queries to Prometheus."""
    text = f"the operator asks Prometheus at most {MAX_QUERIES_PER_TICK:g} queries a tick, and does ask"
    return (Claim(text, 0 < queries_per_tick <= MAX_QUERIES_PER_TICK, f"{queries_per_tick:.2f}"),)
