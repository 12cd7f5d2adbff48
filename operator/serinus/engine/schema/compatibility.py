"""Checks whether a version's signature is compatible as far as its SemVer number implies.

A candidate is compared with

- its **predecessor**, the highest release below it, and the version **in production**, if that is lower: is the bump
  large enough for the changes?
- every release of **its own line** (the same major; below 1.0.0 the same minor), below it *and above it*: a client of
  any version of a line may move to every later one. So a backport such as 1.4.2, made after 1.5.0 and 2.0.0, is
  compared with 1.4.1 and all other 1.x, including 1.5.0, whose clients may come from 1.4.2, but not with 2.x.

Prereleases imply no compatibility (semver.org, 9): they are not compared with unless in production, and a candidate
such as 2.4.0-rc.1 is checked as if it were 2.4.0, so that a bump that is too small shows before the day of the release.
A prerelease whose number is not above the version in production of its line, such as 1.2.3-4-gabcdef0 of ``git
describe`` after 1.2.3, or rc10 after rc9, takes the clients of that version all the same: whatever the order of the
numbers, it must not require more than a patch. The release that a number of ``git describe`` counts from is compared
with likewise.

Beside the signatures the builds of predecessor and production are compared (``builds``). Yanked versions get no new
clients: they are compared with only while in production.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from serinus.api.modelversion import MAX_CHANGES, Bump, Compatibility
from serinus.engine.schema.baselines import (
    Bases,
    KnownVersion,
    Rules,
    Step,
    bases_of,
    by_number,
    core_of,
    find_version,
    is_version,
    steps_of,
)
from serinus.engine.schema.builds import served_otherwise
from serinus.engine.schema.diff import diff, forward
from serinus.engine.schema.fields import listed
from serinus.engine.schema.notes import number_notes, signature_notes
from serinus.engine.semver import at_least, declared_bump, parse_version

__all__ = ["CompatibilityVerdict", "KnownVersion", "Reason", "Rules", "WayBack", "judge"]

DEFAULT_RULES: Final = Rules()
_LADDER: Final = (Bump.NONE, Bump.PATCH, Bump.MINOR, Bump.MAJOR)


class Reason(StrEnum):
    """The outcome in one stable word; the reason of the condition SchemaAccepted."""

    FIRST_VERSION = "FirstVersion"
    COMPATIBLE = "Compatible"
    SCHEMA_UNKNOWN = "SchemaUnknown"
    BUMP_TOO_SMALL = "BumpTooSmall"
    DUPLICATE_ARTIFACT = "DuplicateArtifact"
    VERSION_TAKEN = "VersionTaken"


class WayBack(StrEnum):
    """Whether clients of the candidate can go back to the version in production, or without one to the predecessor."""

    SAFE = "Safe"
    UNSAFE = "Unsafe"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompatibilityVerdict:
    """The outcome of the check.

    Attributes:
        compatibility: for the status. Its ``rollback_safe`` is true only where the way back is known to be safe.
        accepted: whether the number is compatible with the signatures that are known.
        reason: the outcome in one word.
        message: the reason in full sentences, with the remedy, and what else a reviewer should know.
        way_back: ``rollback_safe`` with its third outcome, unknown.
    """

    compatibility: Compatibility
    accepted: bool
    reason: Reason
    message: str
    way_back: WayBack


def judge(
    candidate: KnownVersion, known: Sequence[KnownVersion], production: str | None, rules: Rules = DEFAULT_RULES
) -> CompatibilityVerdict:
    """Check the candidate's number against the model's other versions. Pure and total.

    Args:
        candidate: the version under review; ``known`` may contain it too, with the same ``spec_hash``.
        known: the versions of the model, in any order.
        production: the version in production; None where there is none.
        rules: the part of the Model's policy that decides about numbers.
    """
    same, others = by_number(known, candidate.version)
    serving = find_version(others, production)
    bases = bases_of(candidate, others, serving)
    steps = steps_of(candidate, bases, rules)
    decisive = decisive_of(steps)
    missing = production is not None and serving is None and not is_version(candidate, production)
    back = _way_back(candidate, bases, serving, missing=missing)
    reason, message = (
        _taken(candidate, same)
        or _duplicate(candidate, others)
        or _too_small(candidate, decisive)
        or _unknown(candidate, bases, production if missing else None)
        or _kept(candidate, decisive)
    )
    return CompatibilityVerdict(
        compatibility=_compatibility(candidate, bases, decisive, back),
        accepted=reason not in _REFUSALS,
        reason=reason,
        message=" ".join((message, *_notes(candidate, steps))),
        way_back=back,
    )


def decisive_of(steps: Sequence[Step]) -> Step | None:
    """Return the step that the verdict is about: the first of those that ask for the greatest bump they do not have."""
    return max(steps, key=lambda step: (not step.kept, _LADDER.index(step.required)), default=None)


def _notes(candidate: KnownVersion, steps: Sequence[Step]) -> Iterator[str]:
    small = (step for step in steps if step.learnt and not at_least(step.declared, Bump.MINOR))
    step = next(small, None)
    if step is not None:
        paths = listed(change.path for change in step.learnt)
        needed = _next(step.against, Bump.MINOR)
        yield (
            f"It was retrained since {step.against} (N3: {paths}), which asks for a minor step, {needed} or higher; "
            "the Model's policy (versioning.retraining) only warns."
        )
    yield from number_notes(candidate.version)
    yield from signature_notes(candidate.signature)


def _way_back(candidate: KnownVersion, bases: Bases, serving: KnownVersion | None, *, missing: bool) -> WayBack:
    if missing:
        return WayBack.UNKNOWN
    target = serving or next(iter(bases.nearest), None)
    if target is None:
        return WayBack.SAFE
    if target.signature is None or candidate.signature is None:
        return WayBack.UNKNOWN
    return WayBack.SAFE if forward(target.signature, candidate.signature) else WayBack.UNSAFE


# ---- outcomes -----------------------------------------------------------------------------------

_REFUSALS: Final = frozenset({Reason.VERSION_TAKEN, Reason.DUPLICATE_ARTIFACT, Reason.BUMP_TOO_SMALL})
_Verdict = tuple[Reason, str]


def _taken(candidate: KnownVersion, same: Sequence[KnownVersion]) -> _Verdict | None:
    for registered in same:
        if registered.spec_hash != candidate.spec_hash:
            message = (
                f"{candidate.version} is known with another spec ({_short(registered.spec_hash)}, not "
                f"{_short(candidate.spec_hash)}). A version never changes: give the new build a new number."
            )
            return Reason.VERSION_TAKEN, message
    return None


def _short(digest: str) -> str:
    return digest[:19] or "unknown"


def _duplicate(candidate: KnownVersion, others: Sequence[KnownVersion]) -> _Verdict | None:
    """N1: nothing at all is new; another server makes it a patch.

    A release may have the artifact of its own release candidate: promoting it is the point of a candidate.
    """
    twins = [other for other in others if candidate.digest != "" and other.digest == candidate.digest]
    for twin in sorted(twins, key=lambda twin: parse_version(twin.version)):
        if (
            core_of(twin.version) != core_of(candidate.version)
            and served_otherwise(twin.build, candidate.build) is None
            and _same_signature(twin, candidate)
        ):
            message = (
                f"{candidate.version} is the same artifact with the same signature as {twin.version} "
                f"({_short(twin.digest)}). Deploy {twin.version}, or register what is really new."
            )
            return Reason.DUPLICATE_ARTIFACT, message
    return None


def _same_signature(one: KnownVersion, other: KnownVersion) -> bool:
    if one.signature is None or other.signature is None:
        return one.signature is other.signature
    return not diff(one.signature, other.signature)


def _too_small(candidate: KnownVersion, decisive: Step | None) -> _Verdict | None:
    if decisive is None or decisive.kept:
        return None
    first, more = decisive.changes[0], len(decisive.changes) - 1
    rest = f" ({more} more change{'s' if more > 1 else ''})" if more else ""
    why = f"{first.path} ({first.rule}): {first.reason}{rest}"
    needed = f"a {decisive.required} one is needed"
    if decisive.follows:
        message = (
            f"{candidate.version} would take over the clients of {decisive.against}, yet its number is not above it, "
            f"and {needed}: {why} Number it {_next(decisive.against, decisive.required)} or higher, or keep the "
            f"promise to clients of {decisive.against}."
        )
    elif decisive.lower == candidate.version:
        message = (
            f"{decisive.higher} follows {candidate.version} by a {decisive.declared} step, but {needed}: {why} "
            f"Keep {candidate.version} to what {decisive.higher} promises too."
        )
    else:
        message = (
            f"{candidate.version} is a {decisive.declared} step from {decisive.lower}, but {needed}: {why} "
            f"Number it {_next(decisive.lower, decisive.required)} or higher, or keep the promise to clients of "
            f"{decisive.lower}."
        )
    return Reason.BUMP_TOO_SMALL, message


def _next(version: str, bump: Bump) -> str:
    """Return the lowest release with this bump; below 1.0.0 the minor number acts as the major."""
    before = parse_version(version)
    stable = before.major > 0
    match bump:
        case Bump.MAJOR:
            return str(before.bump_major() if stable else before.bump_minor())
        case Bump.MINOR:
            return str(before.bump_minor() if stable else before.bump_patch())
        case Bump.PATCH | Bump.NONE:
            return str(before.bump_patch())
        case _:
            assert_never(bump)


def _unknown(candidate: KnownVersion, bases: Bases, missing: str | None) -> _Verdict | None:
    if candidate.signature is None:
        unsigned = [candidate.version] if any(True for _ in bases) or missing else []
    else:
        unsigned = [base.version for base in bases.direct if base.signature is None]
    if unsigned:
        states = "states" if len(unsigned) == 1 else "state"
        message = f"{' and '.join(unsigned)} {states} no signature, so nobody can say what {candidate.version} changes."
        return Reason.SCHEMA_UNKNOWN, message
    if missing is not None:
        message = f"{missing} is in production but is not among the known versions, so it could not be compared with."
        return Reason.SCHEMA_UNKNOWN, message
    return None


def _kept(candidate: KnownVersion, decisive: Step | None) -> _Verdict:
    if decisive is None:
        message = f"{candidate.version} has no earlier release and none in its line to be compared with."
        return Reason.FIRST_VERSION, message
    step = f"{decisive.higher} is a {decisive.declared} step from {decisive.lower}"
    if decisive.follows:
        step = f"{candidate.version} would take over the clients of {decisive.against}"
    needs = "nothing that matters to a client has changed" if not decisive.changes else f"{decisive.required} is enough"
    return Reason.COMPATIBLE, f"{step}, and {needs}."


def _compatibility(candidate: KnownVersion, bases: Bases, decisive: Step | None, back: WayBack) -> Compatibility:
    safe = back is WayBack.SAFE
    if decisive is not None:
        return Compatibility(
            against=decisive.against,
            declared=decisive.declared,
            required=decisive.required,
            rollback_safe=safe,
            changes=decisive.changes[:MAX_CHANGES],
        )
    nearest = next(iter(bases.direct), None)
    against = nearest.version if nearest is not None else ""
    declared = declared_bump(against, candidate.version) if against else Bump.NONE
    return Compatibility(against=against, declared=declared, required=Bump.NONE, rollback_safe=safe)
