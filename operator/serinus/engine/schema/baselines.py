"""The versions that a candidate is compared with: predecessor, production, its own line (see ``compatibility``)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from semver import Version

from serinus.api.modelversion import Bump, SchemaChange
from serinus.api.signature import Signature
from serinus.engine.schema.diff import diff
from serinus.engine.semver import at_least, declared_bump, greatest, parse_version, same_line


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownVersion:
    """The facts about a version that the compatibility check needs.

    Attributes:
        version: SemVer, without build metadata.
        signature: None where the ModelVersion states none.
        digest: the artifact's digest; empty where it is not known.
        yanked: whether it must never serve again.
        spec_hash: SHA-256 of the ModelVersion's spec.
    """

    version: str
    signature: Signature | None = None
    digest: str = ""
    yanked: bool = False
    spec_hash: str = ""


@dataclass(frozen=True, slots=True)
class Bases:
    """The versions that a candidate is compared with.

    Attributes:
        nearest: the predecessor and the lower version in production; the verdict needs the signatures of both.
        line: the other releases of its own line, below and above it, highest first.
    """

    nearest: tuple[KnownVersion, ...]
    line: tuple[KnownVersion, ...]

    def __iter__(self) -> Iterator[KnownVersion]:
        """Yield all of them, nearest first."""
        yield from self.nearest
        yield from self.line


@dataclass(frozen=True, slots=True)
class Step:
    """The comparison of a version with a later one, which must stay compatible; one of them is the candidate."""

    lower: str
    higher: str
    against: str
    declared: Bump
    changes: tuple[SchemaChange, ...]

    @property
    def required(self) -> Bump:
        """The bump that the changes require."""
        return greatest(change.bump for change in self.changes)

    @property
    def kept(self) -> bool:
        """Whether the declared bump is at least the required one."""
        return at_least(self.declared, self.required)


def is_version(known: KnownVersion, version: str) -> bool:
    """Return whether the known version has this number."""
    return known.version.removeprefix("v").lower() == version.removeprefix("v").lower()


def same_number(one: KnownVersion, other: KnownVersion) -> bool:
    """Return whether two versions have the same number."""
    # Object names are in lower case, so 1.0.0-RC.1 and 1.0.0-rc.1 cannot both exist.
    return is_version(one, other.version)


def core_of(version: str) -> Version:
    """Return the release that a prerelease precedes; a release unchanged."""
    return parse_version(version).finalize_version()


def bases_of(candidate: KnownVersion, others: Sequence[KnownVersion], serving: KnownVersion | None) -> Bases:
    """Return the versions to compare with; ``serving`` is the version in production unless it is the candidate."""
    number, core = parse_version(candidate.version), core_of(candidate.version)
    parsed = [(parse_version(other.version), other) for other in others if not other.yanked]
    releases = [(semver, other) for semver, other in parsed if semver.prerelease is None and semver != core]
    lower = [(semver, other) for semver, other in releases if semver < number]
    nearest = [max(lower, key=lambda pair: pair[0])[1]] if lower else []
    if serving is not None and parse_version(serving.version) < number and serving not in nearest:
        nearest.append(serving)
    line = [pair for pair in releases if pair[1] not in nearest and same_line(pair[1].version, candidate.version)]
    line.sort(key=lambda pair: pair[0], reverse=True)
    return Bases(tuple(nearest), tuple(other for _, other in line))


def step_between(candidate: KnownVersion, base: KnownVersion) -> Step | None:
    """Return the step from the lower to the higher of the two; None where one of them states no signature."""
    lower, higher = sorted((base, candidate), key=lambda known: parse_version(known.version))
    if lower.signature is None or higher.signature is None:
        return None
    return Step(
        lower=lower.version,
        higher=higher.version,
        against=base.version,
        declared=declared_bump(lower.version, higher.version),
        changes=diff(lower.signature, higher.signature),
    )
