"""With whom a version is compared: its predecessor, the version in production, its own line (see ``compatibility``)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from semver import Version

from serinus.api.modelversion import Bump, SchemaChange, Signature
from serinus.engine.schema.diff import diff
from serinus.engine.semver import at_least, declared_bump, greatest, parse_version, same_line


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownVersion:
    """What the judge needs to know of a version.

    Attributes:
        version: SemVer, without build metadata.
        signature: None where the ModelVersion states none.
        digest: the artifact's; empty where it is not known.
        yanked: it must never serve again.
        spec_hash: of the ModelVersion's spec.
    """

    version: str
    signature: Signature | None = None
    digest: str = ""
    yanked: bool = False
    spec_hash: str = ""


@dataclass(frozen=True, slots=True)
class Bases:
    """What a candidate is compared with.

    Attributes:
        nearest: the predecessor and the lower version in production; both must be known for a judgement to be whole.
        line: the other releases of its own line, below and above it, the highest first.
    """

    nearest: tuple[KnownVersion, ...]
    line: tuple[KnownVersion, ...]

    def __iter__(self) -> Iterator[KnownVersion]:
        """Yield all of them, the nearest first."""
        yield from self.nearest
        yield from self.line


@dataclass(frozen=True, slots=True)
class Step:
    """From a version to a later one, which must keep the promises of the first; one of them is the candidate."""

    lower: str
    higher: str
    against: str
    declared: Bump
    changes: tuple[SchemaChange, ...]

    @property
    def required(self) -> Bump:
        """How much the number must grow for the changes."""
        return greatest(one.bump for one in self.changes)

    @property
    def kept(self) -> bool:
        """Whether it has grown so much."""
        return at_least(self.declared, self.required)


def is_version(one: KnownVersion, version: str) -> bool:
    """Say whether this is the version of that number."""
    return one.version.removeprefix("v").lower() == version.removeprefix("v").lower()


def same_number(one: KnownVersion, other: KnownVersion) -> bool:
    """Say whether two versions have the same number."""
    # An object's name is in lower case, so 1.0.0-RC.1 and 1.0.0-rc.1 cannot both be there.
    return is_version(one, other.version)


def core_of(version: str) -> Version:
    """Return the release that a prerelease leads to; a release itself."""
    return parse_version(version).finalize_version()


def bases_of(candidate: KnownVersion, others: Sequence[KnownVersion], serving: KnownVersion | None) -> Bases:
    """Return with whom the candidate is compared; ``serving`` is the version in production, if it is another one."""
    number, core = parse_version(candidate.version), core_of(candidate.version)
    numbered = [(parse_version(one.version), one) for one in others if not one.yanked]
    releases = [(of, one) for of, one in numbered if of.prerelease is None and of != core]
    lower = [(of, one) for of, one in releases if of < number]
    nearest = [max(lower, key=lambda pair: pair[0])[1]] if lower else []
    if serving is not None and parse_version(serving.version) < number and serving not in nearest:
        nearest.append(serving)
    line = [pair for pair in releases if pair[1] not in nearest and same_line(pair[1].version, candidate.version)]
    line.sort(key=lambda pair: pair[0], reverse=True)
    return Bases(tuple(nearest), tuple(one for _, one in line))


def step_between(candidate: KnownVersion, base: KnownVersion) -> Step | None:
    """Return the step between the two, whichever is later; None where one of them states no signature."""
    if candidate.signature is None or base.signature is None:
        return None
    lower, higher = base, candidate
    if parse_version(candidate.version) < parse_version(base.version):
        lower, higher = candidate, base
    assert lower.signature is not None  # noqa: S101 - both were asked for above
    assert higher.signature is not None  # noqa: S101 - likewise
    return Step(
        lower=lower.version,
        higher=higher.version,
        against=base.version,
        declared=declared_bump(lower.version, higher.version),
        changes=diff(lower.signature, higher.signature),
    )
