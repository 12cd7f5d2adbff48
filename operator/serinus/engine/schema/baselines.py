"""The versions that a candidate is compared with: predecessor, production, its own line (see ``compatibility``)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter

from semver import Version

from serinus.api.model import Enforcement, MetricTolerance
from serinus.api.modelversion import Bump, SchemaChange
from serinus.api.signature import Signature
from serinus.engine.schema.builds import Build, rebuilt, retrained, served_otherwise
from serinus.engine.schema.diff import diff, severity
from serinus.engine.semver import (
    at_least,
    declared_bump,
    describe_tag,
    greatest,
    is_release,
    line_of,
    parse_version,
    place_of,
    same_line,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownVersion:
    """The facts about a version that the compatibility check needs.

    Attributes:
        version: SemVer, without build metadata.
        signature: None where the ModelVersion states none.
        digest: the artifact's digest; empty where it is not known.
        yanked: whether it must never serve again.
        spec_hash: SHA-256 of the ModelVersion's spec.
        build: how it was made, and by what it is served.
    """

    version: str
    signature: Signature | None = None
    digest: str = ""
    yanked: bool = False
    spec_hash: str = ""
    build: Build = field(default_factory=Build)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The part of a Model's policy that decides about a version number.

    Attributes:
        retraining: whether a retrained version must grow by a minor step, gets a warning, or neither.
        tolerances: the metrics whose change counts as retraining.
    """

    retraining: Enforcement = Enforcement.WARN
    tolerances: tuple[MetricTolerance, ...] = ()


@dataclass(frozen=True, slots=True)
class Bases:
    """The versions that a candidate is compared with.

    Attributes:
        followed: for a prerelease, versions that it takes clients from although its number is not above theirs: the
            one in production, and the release that a number of ``git describe`` counts from.
        nearest: the predecessor and the lower version in production; the verdict needs the signatures of both.
        line: the other releases of its own line, below and above it, highest first.
    """

    followed: tuple[KnownVersion, ...]
    nearest: tuple[KnownVersion, ...]
    line: tuple[KnownVersion, ...]

    @property
    def direct(self) -> tuple[KnownVersion, ...]:
        """The versions whose clients it takes over: without a signature of theirs nothing is known."""
        return (*self.followed, *self.nearest)

    def __iter__(self) -> Iterator[KnownVersion]:
        """Yield all of them, nearest first."""
        yield from self.direct
        yield from self.line


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The comparison of a version with a later one, which must stay compatible; one of them is the candidate.

    Attributes:
        lower: the version whose clients are concerned.
        higher: the version that they meet later.
        against: the one that is not the candidate.
        declared: the bump that the numbers declare.
        changes: the differences that count, the most severe first.
        learnt: what shows that the model was retrained (N3) and does not count by the Model's policy.
        follows: the candidate takes clients of the other although its number is not above it.
    """

    lower: str
    higher: str
    against: str
    declared: Bump
    changes: tuple[SchemaChange, ...]
    learnt: tuple[SchemaChange, ...] = ()
    follows: bool = False

    @property
    def required(self) -> Bump:
        """The bump that the changes require."""
        return greatest(change.bump for change in self.changes)

    @property
    def kept(self) -> bool:
        """Whether the declared bump is at least the required one; a build that follows a release may be a patch."""
        return at_least(self.declared, self.required) or (self.follows and self.required is Bump.PATCH)


def is_version(known: KnownVersion, version: str) -> bool:
    """Return whether the known version has this number."""
    return _number(known.version) == _number(version)


@lru_cache(maxsize=2**14)
def _number(version: str) -> str:
    return version.removeprefix("v").lower()


def find_version(known: Iterable[KnownVersion], version: str | None) -> KnownVersion | None:
    """Return the one with this number; None where there is none, or no number."""
    number = _number(version) if version is not None else None
    return next((one for one in known if _number(one.version) == number), None)


def by_number(known: Iterable[KnownVersion], version: str) -> tuple[list[KnownVersion], list[KnownVersion]]:
    """Return those with this number, and all others.

    Object names are in lower case, so 1.0.0-RC.1 and 1.0.0-rc.1 have the same number.
    """
    # Asked of a thousand versions about each of a thousand: one cached call for each.
    number, same, others = _number(version), list[KnownVersion](), list[KnownVersion]()
    for one in known:
        (same if _number(one.version) == number else others).append(one)
    return same, others


def succeeds(version: str, serving: str) -> bool:
    """Return whether a version is to take over from the one that serves: a higher one, or a prerelease of its line."""
    number = parse_version(version)
    return number > parse_version(serving) or (number.prerelease is not None and same_line(version, serving))


def core_of(version: str) -> Version:
    """Return the release that a prerelease precedes; a release unchanged."""
    return parse_version(version).finalize_version()


def bases_of(candidate: KnownVersion, others: Sequence[KnownVersion], serving: KnownVersion | None) -> Bases:
    """Return the versions to compare with; ``serving`` is the version in production unless it is the candidate."""
    number, core = place_of(candidate.version), place_of(str(core_of(candidate.version)))
    living = [(place_of(other.version), other) for other in others if not other.yanked]
    followed = _followed(candidate, [other for _, other in living], serving)
    releases = [(place, other) for place, other in living if is_release(place) and place != core]
    lower = [pair for pair in releases if pair[0] < number]
    nearest = [max(lower, key=itemgetter(0))[1]] if lower else []
    if serving is not None and place_of(serving.version) < number and all(one is not serving for one in nearest):
        nearest.append(serving)
    near = {id(other) for other in (*followed, *nearest)}
    own = line_of(number)
    line = [pair for pair in releases if line_of(pair[0]) == own and id(pair[1]) not in near]
    line.sort(key=itemgetter(0), reverse=True)
    return Bases(followed, tuple(nearest), tuple(other for _, other in line))


def _followed(
    candidate: KnownVersion, others: Sequence[KnownVersion], serving: KnownVersion | None
) -> tuple[KnownVersion, ...]:
    number = parse_version(candidate.version)
    if number.prerelease is None:
        return ()
    tag = describe_tag(candidate.version)
    tagged = [other for other in others if tag is not None and is_version(other, tag)]
    found = [
        other
        for other in ([serving] if serving is not None else []) + tagged
        if parse_version(other.version) >= number and same_line(other.version, candidate.version)
    ]
    return tuple(other for index, other in enumerate(found) if other not in found[:index])


def steps_of(candidate: KnownVersion, bases: Bases, rules: Rules) -> list[Step]:
    """Return the steps between a candidate and the versions that it is compared with, those that could be decisive.

    Of the releases of its line that have the same signature, are on the same side of it and are as far away (by a patch
    or by a minor step), the first one stands for all. About one without a signature nothing can be said.
    """
    steps = [step_between(candidate, base, bases, rules) for base in bases.direct]
    number, told = place_of(candidate.version), set[tuple[object, ...]]()
    for base in bases.line if candidate.signature is not None else ():
        place = place_of(base.version)
        kind = (base.signature, place < number, place[:2] == number[:2], place[:3] == number[:3])
        if base.signature is not None and kind not in told:
            told.add(kind)
            steps.append(step_between(candidate, base, bases, rules))
    return [step for step in steps if step is not None]


def step_between(candidate: KnownVersion, base: KnownVersion, bases: Bases, rules: Rules) -> Step | None:
    """Return the step between the two; None where one of them states no signature and nothing else is known."""
    follows = base in bases.followed
    both = sorted((base, candidate), key=lambda known: place_of(known.version))
    lower, higher = (base, candidate) if follows else (both[0], both[1])
    changes: list[SchemaChange] = []
    learnt: tuple[SchemaChange, ...] = ()
    if lower.signature is not None and higher.signature is not None:
        changes += diff(lower.signature, higher.signature)
    if base in bases.direct:
        own, learnt = build_changes(base, candidate, rules, changed=bool(changes))
        changes += own
        if rules.retraining is Enforcement.ENFORCE:
            changes, learnt = [*changes, *learnt], ()
    if (lower.signature is None or higher.signature is None) and not changes and not learnt:
        return None
    return Step(
        lower=lower.version,
        higher=higher.version,
        against=base.version,
        declared=declared_bump(lower.version, higher.version),
        changes=tuple(sorted(changes, key=severity)),
        learnt=learnt if rules.retraining is Enforcement.WARN else (),
        follows=follows,
    )


def build_changes(
    base: KnownVersion, candidate: KnownVersion, rules: Rules, *, changed: bool
) -> tuple[tuple[SchemaChange, ...], tuple[SchemaChange, ...]]:
    """Return what was built otherwise (N1, N2), and what the model was retrained by (N3).

    ``changed`` says whether the signature has changed: then the bytes are not only a rebuild.
    """
    if base.digest and base.digest == candidate.digest:
        around = served_otherwise(base.build, candidate.build)
        return (around,) if around is not None else (), ()
    learnt = tuple(retrained(base.build, candidate.build, rules.tolerances))
    rebuild = base.digest and candidate.digest and not learnt and not changed
    return (rebuilt(),) if rebuild else (), learnt
