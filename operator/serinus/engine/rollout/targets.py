"""Who gets which share: the rollback target, the shares that a status stands for, what a route already serves."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from serinus.api.quantities import WEIGHT_SCALE
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.actions import BackendShare
from serinus.engine.rollout.modes import Settled, mode_of
from serinus.engine.rollout.observation import BackendKey, Observation, RouteFacts, VersionFacts, backend_key


def usable(observed: Observation, version: str) -> VersionFacts | None:
    """Return the version's facts where it exists, is in order and says where it serves."""
    facts = observed.versions.get(version)
    return facts if facts is not None and facts.backend is not None and not facts.problem else None


def is_ready(facts: VersionFacts) -> bool:
    """Say whether the version can take traffic; a backend whose endpoints cannot be counted is taken at its word."""
    return facts.ready is None or facts.ready > 0


def our_backends(observed: Observation) -> frozenset[BackendKey]:
    """Return the backends of all the model's ModelVersions."""
    return frozenset(backend_key(facts.backend) for facts in observed.versions.values() if facts.backend is not None)


def rollback_target(
    spec: RolloutSpec | None, status: RolloutStatus, observed: Observation, bad: str, asked: str = ""
) -> str | None:
    """Return the version that takes the traffic back: ``rollbackTo``, else the stable one, else the one before it.

    What a person ``asked`` for goes before all these, unless it was rolled back itself. A target with
    ready endpoints goes before one without; a bad version loses its traffic even where none is ready.
    """
    wanted = (asked, *_choices(spec, status)) if asked not in status.quarantined else _choices(spec, status)
    choices = [version for version in wanted if version != bad and usable(observed, version)]
    ready = [version for version in choices if is_ready(observed.versions[version])]
    return next(iter(ready or choices), None)


def _choices(spec: RolloutSpec | None, status: RolloutStatus) -> Iterator[str]:
    if spec is not None and spec.rollback_to is not None:
        yield spec.rollback_to
    if status.stable is not None:
        yield status.stable.version
    if status.last_known_good is not None:
        yield status.last_known_good


def shares_for(spec: RolloutSpec | None, status: RolloutStatus, observed: Observation) -> tuple[BackendShare, ...]:
    """Return every backend that shall stand in the rule, with its share, as this status says.

    The stable version has what the candidate does not; the rollback target stands ready at 0. A version whose backend
    is not known any more is left out: its entry then counts as foreign and stays as it is.
    """
    parts: dict[str, int] = {}
    candidate = status.candidate
    if candidate is not None and not isinstance(mode_of(status), Settled):
        parts[candidate.version] = round(candidate.weight * 100)
    if status.stable is not None:
        parts[status.stable.version] = WEIGHT_SCALE - sum(parts.values())
    for version in _choices(spec, status):
        parts.setdefault(version, 0)
    found = ((observed.versions.get(version), share) for version, share in parts.items())
    return tuple(
        BackendShare(facts.backend, share) for facts, share in found if facts is not None and facts.backend is not None
    )


def shared_backend(observed: Observation, one: str, other: str) -> bool:
    """Say whether two versions name the same backend, so that no traffic could be told apart."""
    first, second = usable(observed, one), usable(observed, other)
    if one == other or first is None or second is None or first.backend is None or second.backend is None:
        return False
    return backend_key(first.backend) == backend_key(second.backend)


@dataclass(frozen=True, slots=True)
class Adoption:
    """What the route serves already: the version that counts as stable, or the foreign backends that stand there."""

    version: str | None
    foreign: tuple[str, ...]


def serving_now(route: RouteFacts, versions: Iterable[VersionFacts], wanted: str) -> Adoption:
    """Return which version the route serves, by the heaviest entry that is a ModelVersion's backend.

    Where several ModelVersions name that backend, the wanted one is taken, else the last by name.
    """
    owners: dict[BackendKey, list[str]] = {}
    for facts in versions:
        if facts.backend is not None:
            owners.setdefault(backend_key(facts.backend), []).append(facts.version)
    live = [entry for entry in route.entries if entry.weight > 0]
    ours = [entry for entry in live if entry.key in owners]
    if not ours:
        return Adoption(None, tuple(entry.key.name for entry in live))
    names = owners[max(ours, key=lambda entry: entry.weight).key]
    return Adoption(wanted if wanted in names else max(names), ())
