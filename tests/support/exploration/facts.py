"""The parts of a small world's observation, made once for each code that a state holds for them."""

from dataclasses import replace
from datetime import timedelta
from enum import IntEnum
from functools import cache
from typing import Final

from serinus.api.modelversion import BackendRef
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import TestResult
from serinus.api.verdict import Cause
from serinus.engine.analysis.assessment import Progress, begin, update
from serinus.engine.analysis.measurements import Batch, CouldNotAsk, Counted, NoData
from serinus.engine.analysis.share import NO_REQUESTS, RequestShare
from serinus.engine.rollout.observation import AdmissionBlock, TestOutcome, VersionFacts
from serinus.engine.rollout.traffic.facts import (
    BackendKey,
    ParentFacts,
    RouteEntry,
    RouteFacts,
    RouteProblem,
    backend_key,
)
from serinus.engine.rollout.waiting import WaitReason
from support.builders import NOW, a_backend, a_key
from support.history_laws import FOREIGN_WRITER

VERSIONS: Final = ("1.0.0", "2.0.0", "3.0.0")
SCRAPE: Final = timedelta(seconds=15)


Route = RouteFacts | RouteProblem


class VersionCode(IntEnum):
    """What became of a ModelVersion and its Service."""

    READY = 0
    EMPTY = 1
    """No ready endpoint."""
    GONE = 2
    """The ModelVersion was deleted; its pods serve on."""
    GONE_EMPTY = 3
    YANKED = 4
    REPLACED = 5
    """Deleted and applied again with another backend."""
    NO_SERVICE = 6
    """The Service was deleted."""
    CHECKED = 7
    """Its artifact is being verified again: a block that goes away by itself."""
    REJECTED = 8
    """Its bytes are not those of its digest."""
    BARRED = 9
    """Its schema breaks a promise: no run of it may begin, or go on."""
    CLEANED = 10
    """Its bytes were removed from the registry: it serves on."""


class Gate(IntEnum):
    """What the gateway says of the route as it stands."""

    ACCEPTED = 0
    BEHIND = 1
    REFUSED = 2
    UNRESOLVED = 3


class Evidence(IntEnum):
    """What is known of the stage's condition."""

    NOT_ASKED = 0
    GOOD = 1
    BREACH = 2
    NO_TRAFFIC = 3
    DOWN = 4
    STALE = 5
    AMBIGUOUS = 6
    OTHER_SHARE = 7
    """Good, but the requests do not come in the shares of the weights."""


class TestState(IntEnum):
    """How far the stage's test is."""

    __test__ = False  # pytest collects names that begin with Test

    NOT_RUN = 0
    RUNNING = 1
    PASSED = 2
    FAILED = 3


OTHER_BACKENDS: Final = {version: BackendRef(name=f"{a_backend(version).name}-new", port=80) for version in VERSIONS}
OTHER_ROUTE: Final = "fraud-b"
"""The route that a spec may name instead of the one named "fraud"."""

STRANGER: Final = BackendKey("", "Service", "stranger", 80)
FOREIGN: Final = BackendKey("", "Service", "foreign", 80)

MISSING: Final = RouteProblem(WaitReason.ROUTE_MISSING, "HTTPRoute fraud does not exist.")
WITHOUT_RULE: Final = RouteProblem(WaitReason.NO_SUCH_RULE, "HTTPRoute fraud has no rule predict.")
OWNED: Final = RouteProblem(WaitReason.ROUTE_OWNED_BY_OTHER, "HTTPRoute fraud belongs to InferenceService/fraud.")
NO_PLAN: Final = RouteProblem(WaitReason.SPEC_INVALID, "Neither the spec nor the status names a route.")

_GONE: Final = {VersionCode.GONE, VersionCode.GONE_EMPTY}
_WITHOUT_ENDPOINTS: Final = {VersionCode.EMPTY, VersionCode.GONE_EMPTY, VersionCode.NO_SERVICE}
_BLOCKS: Final = {
    VersionCode.YANKED: AdmissionBlock(WaitReason.VERSION_YANKED, "It was yanked."),
    VersionCode.CHECKED: AdmissionBlock(WaitReason.ARTIFACT_PENDING, "It is being checked.", temporary=True),
    VersionCode.REJECTED: AdmissionBlock(WaitReason.ARTIFACT_REJECTED, "Its bytes are others."),
    VersionCode.BARRED: AdmissionBlock(WaitReason.SCHEMA_REJECTED, "Its schema breaks a promise."),
    VersionCode.CLEANED: AdmissionBlock(WaitReason.ARTIFACT_REJECTED, "It has no bytes.", artifact_gone=True),
}


@cache
def versions_of(codes: tuple[int, ...]) -> dict[str, VersionFacts]:
    """Return the ModelVersions that there are."""
    return {
        version: VersionFacts(
            version=version,
            backend=OTHER_BACKENDS[version] if code == VersionCode.REPLACED else a_backend(version),
            ready=0 if code in _WITHOUT_ENDPOINTS else 1,
            block=_BLOCKS.get(VersionCode(code)),
        )
        for version, code in zip(VERSIONS, codes, strict=False)
        if code not in _GONE
    }


@cache
def endpoints_of(codes: tuple[int, ...]) -> dict[BackendKey, int]:
    """Return the ready endpoints of every backend that was ever named."""
    pairs = list(zip(VERSIONS, codes, strict=False))
    old = {a_key(version): 0 if code in _WITHOUT_ENDPOINTS else 1 for version, code in pairs}
    new = {backend_key(OTHER_BACKENDS[version]): 1 for version, code in pairs if code == VersionCode.REPLACED}
    return old | new


@cache
def missing_of(codes: tuple[int, ...]) -> frozenset[BackendKey]:
    """Return the backends whose Service was deleted."""
    pairs = zip(VERSIONS, codes, strict=False)
    return frozenset(a_key(version) for version, code in pairs if code == VersionCode.NO_SERVICE)


@cache
def route_of(entries: tuple[RouteEntry, ...], gate: int, foreign: int) -> RouteFacts:
    """Return the rule as the gateway sees it."""
    parent = ParentFacts(
        "gateway",
        accepted=gate != Gate.REFUSED,
        observed_generation=1 if gate == Gate.BEHIND else 2,
        resolved=gate != Gate.UNRESOLVED,
    )
    writer = FOREIGN_WRITER if foreign else "serinus"
    return RouteFacts(generation=2, entries=entries, parents=(parent,), written_by=writer)


@cache
def tests_of(code: int, names: tuple[str, ...]) -> dict[str, TestOutcome]:
    """Return the stage's ended tests: all of them end alike."""
    results = {TestState.PASSED: TestResult.PASSED, TestState.FAILED: TestResult.FAILED}
    if code not in results:
        return {}
    result = results[TestState(code)]
    return {name: TestOutcome(result, result.value.lower()) for name in names}


_ANSWERS: Final = {
    Evidence.GOOD: Batch(700, 0, 0, 0),
    Evidence.BREACH: Batch(700, 350, 350, 350),
    Evidence.NO_TRAFFIC: Batch(0, 0, 0, 0),
    Evidence.STALE: Batch(700, 0, 0, 0),
    Evidence.OTHER_SHARE: Batch(700, 0, 0, 0),
}


def readings_of(plan: RolloutSpec, index: int, code: int, weight: float) -> tuple[Progress, ...]:
    """Return what is known of the stage's conditions."""
    stage = plan.stages[index]
    conditions = sum(len(each) for each in plan.conditions)
    begun = tuple(
        begin(condition, stage, plan.metrics, conditions_in_run=conditions, scrape_interval=SCRAPE)
        for condition in plan.conditions[index]
    )
    return tuple(_told(progress, Evidence(code), weight) for progress in begun)


def share_of(code: int, weight: float) -> RequestShare:
    """Return which share of the requests the candidate has had since the weights last changed."""
    batch = _ANSWERS.get(Evidence(code))
    if batch is None or not 0 < weight < 100:
        return NO_REQUESTS
    return NO_REQUESTS.plus(batch.requests, batch.requests * _stable_factor(Evidence(code), weight))


def _stable_factor(code: Evidence, weight: float) -> float:
    """Return how many requests the stable version has for each of the candidate's."""
    return 1 if code is Evidence.OTHER_SHARE else (100 - weight) / weight if weight else 0


def _told(progress: Progress, code: Evidence, weight: float) -> Progress:
    match code:
        case Evidence.NOT_ASKED:
            return progress
        case Evidence.DOWN:
            return update(progress, CouldNotAsk(at=NOW, cause=Cause.PROVIDER_DOWN, message="no answer"), None)
        case Evidence.AMBIGUOUS:
            return update(progress, NoData(at=NOW, cause=Cause.AMBIGUOUS, message="two series"), None)
        case _:
            pass
    at = NOW - timedelta(minutes=10) if code is Evidence.STALE else NOW
    batch = _ANSWERS[code]
    stable_requests = batch.requests * _stable_factor(code, weight)
    stable = Counted(at=at, batch=Batch(stable_requests, 0, 0, 0)) if 0 < weight < 100 else None
    return update(progress, Counted(at=at, batch=batch), stable)


def with_weight(entries: tuple[RouteEntry, ...], key: BackendKey, weight: int) -> tuple[RouteEntry, ...]:
    """Return the entries with this weight for a backend, added where it is not there."""
    if all(entry.key != key for entry in entries):
        return (*entries, RouteEntry(key, weight))
    return tuple(replace(entry, weight=weight) if entry.key == key else entry for entry in entries)


def without(entries: tuple[RouteEntry, ...], key: BackendKey) -> tuple[RouteEntry, ...]:
    """Return the entries but those of a backend."""
    return tuple(entry for entry in entries if entry.key != key)
