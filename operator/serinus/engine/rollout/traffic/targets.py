"""Who gets which share: where versions serve, the rollback target, the shares that a status stands for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from msgspec import structs

from serinus.api.modelversion import BackendRef
from serinus.api.quantities import WEIGHT_SCALE
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RolloutStatus, RunResult, Serving
from serinus.engine.rollout.actions import BackendShare
from serinus.engine.rollout.modes import RollingBack, Running, Settled, Stranded, mode_of
from serinus.engine.rollout.observation import AdmissionBlock, Observation, VersionFacts
from serinus.engine.rollout.traffic.facts import BackendKey, RouteFacts, backend_key
from serinus.engine.rollout.traffic.route_plan import unnameable


@dataclass(frozen=True, slots=True)
class Place:
    """Where a version serves.

    ``ready`` counts its ready endpoints; None where its kind of backend has none that could be counted.
    """

    backend: BackendRef
    ready: int | None

    @property
    def key(self) -> BackendKey:
        """The backend's identity in a route."""
        return backend_key(self.backend)

    @property
    def is_ready(self) -> bool:
        """Whether it can take traffic; a backend whose endpoints cannot be counted is taken at its word."""
        return self.ready is None or self.ready > 0


@dataclass(frozen=True, slots=True)
class Choice:
    """The version that takes the traffic back, and why the ones before it in the order were passed over.

    ``version`` is None where no version is fit; ``unready`` is the first one that lacks nothing but ready endpoints.
    """

    version: str | None
    passed_over: tuple[tuple[str, str], ...] = ()
    unready: str | None = None

    @property
    def reasons(self) -> str:
        """The versions passed over, each with its reason, for a sentence; empty where there is none."""
        return "; ".join(f"{version} {why}" for version, why in self.passed_over)


def usable(observed: Observation, version: str) -> VersionFacts | None:
    """Return the version's facts where it exists, is in order and names a backend."""
    facts = observed.versions.get(version)
    return facts if facts is not None and facts.backend is not None and not facts.problem else None


def is_ready(facts: VersionFacts) -> bool:
    """Return whether the version can take traffic; a backend whose endpoints cannot be counted is taken at its word."""
    return facts.ready is None or facts.ready > 0


def place_of(version: str, status: RolloutStatus, observed: Observation) -> Place | None:
    """Return where a version serves: as the status remembers it, else as its ModelVersion says; None where unknown.

    The status goes first: what has been given traffic is what must give it back, whatever became of its ModelVersion.
    """
    for serving in (status.stable, status.candidate):
        if serving is not None and serving.version == version and serving.backend is not None:
            return Place(serving.backend, _ready_of(serving.backend, version, observed))
    facts = observed.versions.get(version)
    return Place(facts.backend, facts.ready) if facts is not None and facts.backend is not None else None


def _ready_of(backend: BackendRef, version: str, observed: Observation) -> int | None:
    facts = observed.versions.get(version)
    if facts is not None and facts.backend == backend:
        return facts.ready
    return observed.endpoints.get(backend_key(backend))


def our_backends(observed: Observation, *statuses: RolloutStatus) -> frozenset[BackendKey]:
    """Return the backends of all the model's ModelVersions and of the versions that the statuses name."""
    of_versions = {facts.version: facts.backend for facts in observed.versions.values()}
    roles = [serving for status in statuses for serving in (status.stable, status.candidate) if serving is not None]
    # Mostly the same object as the ModelVersion's, whose key is there already.
    of_roles = (one.backend for one in roles if one.backend is not of_versions.get(one.version))
    return frozenset(backend_key(backend) for backend in (*of_versions.values(), *of_roles) if backend is not None)


def on_trial(status: RolloutStatus) -> BackendKey | None:
    """Return the backend of the version whose run, or rollback, is under way; None where there is none."""
    candidate = status.candidate
    if candidate is None or candidate.backend is None:
        return None
    return backend_key(candidate.backend) if isinstance(mode_of(status), Running | RollingBack | Stranded) else None


def has_served(version: str, status: RolloutStatus, observed: Observation) -> bool:
    """Return whether a version has served well here: promoted, adopted, or known to the registry's head as such."""
    if version in {status.last_known_good, status.stable.version if status.stable is not None else None}:
        return True
    promoted = (run.version for run in status.history if run.result is RunResult.PROMOTED)
    return version in observed.served or version in promoted


def is_barred(version: str, status: RolloutStatus, observed: Observation) -> bool:
    """Return whether a version was rolled back, or is refused for good."""
    return version in status.quarantined or _barring(version, observed) is not None


def _barring(version: str, observed: Observation) -> AdmissionBlock | None:
    facts = observed.versions.get(version)
    block = facts.block if facts is not None else None
    return block if block is not None and block.bars_rollback else None


def unfit(version: str, status: RolloutStatus, observed: Observation) -> str:
    """Return why a version must never get the traffic back, whatever its endpoints do; empty where it may."""
    if version in status.quarantined:
        return "was rolled back itself"
    block = _barring(version, observed)
    if block is not None:
        return f"is refused ({block.reason.value})"
    if not has_served(version, status, observed):
        return "has never served"
    return "" if place_of(version, status, observed) is not None else "has no known backend"


def beyond_route(version: str, status: RolloutStatus, observed: Observation) -> str:
    """Return why the rule cannot give a version traffic as it stands; empty where it can, or is not known."""
    place, route = place_of(version, status, observed), observed.route
    if place is None or not isinstance(route, RouteFacts):
        return ""
    listed = route.can.manages_backends or any(entry.key == place.key for entry in route.entries)
    return unnameable(place.key, route.can) or ("" if listed else "is not listed in the route")


def choose_target(
    spec: RolloutSpec | None, status: RolloutStatus, observed: Observation, bad: str, asked: str = ""
) -> Choice:
    """Return the version that takes the traffic back.

    In this order, the first that is fit, that the rule can name, and that has a ready endpoint: what a person
    ``asked`` for, ``spec.rollbackTo``, the stable version, the last known good one, then what the registry and the
    history know to have served.
    """
    passed_over: list[tuple[str, str]] = []
    unready: str | None = None
    for version in _choices(spec, status, observed, asked):
        if version == bad:
            continue
        why = unfit(version, status, observed) or beyond_route(version, status, observed)
        place = place_of(version, status, observed)
        if not why and place is not None and place.is_ready:
            return Choice(version, tuple(passed_over), unready)
        if not why and unready is None:
            unready = version
        passed_over.append((version, why or "has no ready endpoint"))
    return Choice(None, tuple(passed_over), unready)


def _choices(spec: RolloutSpec | None, status: RolloutStatus, observed: Observation, asked: str) -> Iterator[str]:
    named = (
        asked,
        spec.rollback_to if spec is not None else None,
        status.stable.version if status.stable is not None else None,
        status.last_known_good,
    )
    promoted = (run.version for run in status.history if run.result is RunResult.PROMOTED)
    yield from dict.fromkeys(version for version in (*named, *promoted, *sorted(observed.served)) if version)


def targets_in_rule(spec: RolloutSpec | None, status: RolloutStatus) -> tuple[str, ...]:
    """Return the versions that stand ready in the rule at weight 0 so that the traffic can go back to them at once."""
    named = (
        spec.rollback_to if spec is not None else None,
        status.stable.version if status.stable is not None else None,
        status.last_known_good,
    )
    return tuple(dict.fromkeys(version for version in named if version))


def shares_for(spec: RolloutSpec | None, status: RolloutStatus, observed: Observation) -> tuple[BackendShare, ...]:
    """Return every backend of ours that belongs in the rule, with its share, as this status says.

    The stable version has what the candidate does not; the rollback targets stand ready at 0. A backend at 0 whose
    Service does not exist is left out: it would only spoil the route's ``ResolvedRefs``. An entry that somebody has
    prepared for the wanted version stays at 0: its filters are theirs.
    """
    parts: dict[str, int] = {}
    candidate = status.candidate
    if candidate is not None and not isinstance(mode_of(status), Settled):
        parts[candidate.version] = round(candidate.weight * 100)
    if status.stable is not None:
        parts[status.stable.version] = WEIGHT_SCALE - sum(parts.values())
    prepared = (spec.version,) if spec is not None and _is_in_rule(spec.version, status, observed) else ()
    for version in (*targets_in_rule(spec, status), *prepared):
        parts.setdefault(version, 0)
    shares: dict[BackendKey, BackendShare] = {}
    for version, share in parts.items():
        place = place_of(version, status, observed)
        if place is None or (share == 0 and place.key in observed.missing):
            continue
        # Two versions on one backend: the one with traffic counts.
        shares.setdefault(place.key, BackendShare(place.backend, share))
    return tuple(shares.values())


def _is_in_rule(version: str, status: RolloutStatus, observed: Observation) -> bool:
    """Return whether the rule has an entry of the version; a Rollout that is deleted leaves no such entry behind."""
    place, route = place_of(version, status, observed), observed.route
    if observed.deleted:
        return False
    return place is not None and isinstance(route, RouteFacts) and any(e.key == place.key for e in route.entries)


def filters_source(status: RolloutStatus) -> BackendKey | None:
    """Return the backend whose filters a new entry of the rule gets: the stable version's."""
    stable = status.stable
    return backend_key(stable.backend) if stable is not None and stable.backend is not None else None


def serves_alone(version: str, status: RolloutStatus, observed: Observation) -> bool:
    """Return whether a version has all the weight of the rule; where the rule is not known, as the status says."""
    place, route = place_of(version, status, observed), observed.route
    if place is None or not isinstance(route, RouteFacts):
        trial = status.candidate
        return trial is not None and trial.version == version and trial.weight == WEIGHT_SCALE / 100
    return {entry.key for entry in route.entries if entry.weight} == {place.key}


def could_take_over(version: str, status: RolloutStatus, observed: Observation) -> bool:
    """Return whether a version may get traffic that it does not have, and has an endpoint for it."""
    place = place_of(version, status, observed)
    fit = not unfit(version, status, observed) and not beyond_route(version, status, observed)
    return place is not None and place.is_ready and fit


def shared_backend(status: RolloutStatus, observed: Observation, one: str, other: str) -> bool:
    """Return whether two versions name the same backend, or one a part of it: no traffic could be told apart."""
    first, second = place_of(one, status, observed), place_of(other, status, observed)
    return one != other and first is not None and second is not None and first.key.overlaps(second.key)


@dataclass(frozen=True, slots=True)
class Adoption:
    """What the route serves already.

    Attributes:
        versions: the ModelVersions that name the heaviest entry that is ours; several where they share it.
        serving: the backend of that entry; None where no entry with weight is ours.
        foreign: the labels of the other backends with weight.
    """

    versions: tuple[str, ...]
    serving: BackendRef | None
    foreign: tuple[str, ...]


def serving_now(route: RouteFacts, versions: Iterable[VersionFacts]) -> Adoption:
    """Return which ModelVersions the route serves already, by the heaviest entry that one of them names."""
    owners: dict[BackendKey, list[VersionFacts]] = {}
    for facts in versions:
        if facts.backend is not None:
            owners.setdefault(backend_key(facts.backend), []).append(facts)
    live = [entry for entry in route.entries if entry.weight > 0]
    ours = [entry for entry in live if entry.key in owners]
    foreign = tuple(dict.fromkeys(entry.key.label for entry in live if entry.key not in owners))
    if not ours:
        return Adoption((), None, foreign)
    named = owners[max(ours, key=lambda entry: entry.weight).key]
    return Adoption(tuple(facts.version for facts in named), named[0].backend, foreign)


def with_backends(serving: Serving | None, observed: Observation) -> Serving | None:
    """Return what the status says of a version, with its backend filled in where an older release left it out."""
    if serving is None or serving.backend is not None:
        return serving
    facts = observed.versions.get(serving.version)
    if facts is None or facts.backend is None:
        return serving
    return structs.replace(serving, backend=facts.backend)
