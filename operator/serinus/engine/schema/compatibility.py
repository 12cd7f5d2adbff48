"""Judges a version's number by its signature: is the promise that the number makes kept?

A candidate is compared with

- its **predecessor**, the highest release below it, and the version **in production**, if that is lower: has the number
  grown enough for what changed?
- every release of **its own line** (the same major; below 1.0.0 the same minor), below it *and above it*: whoever takes
  any version of a line may take every later one. So a backport such as 1.4.2, made when 1.5.0 and 2.0.0 are there, is
  held against 1.4.1 and all other 1.x, including 1.5.0, whose clients may come from 1.4.2; 2.x does not concern it.

Prereleases promise nothing (semver.org, 9): none is compared with unless it is in production, and a candidate such as
2.4.0-rc.1 is judged as if it were 2.4.0, so that nobody learns on the day of the release that the number will not do.
Yanked versions have no clients to come, unless one of them is still in production.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from serinus.api.modelversion import MAX_CHANGES, Bump, Compatibility
from serinus.engine.schema.baselines import (
    Bases,
    KnownVersion,
    Step,
    bases_of,
    core_of,
    is_version,
    same_number,
    step_between,
)
from serinus.engine.schema.diff import diff, forward
from serinus.engine.semver import declared_bump, parse_version

__all__ = ["CompatibilityVerdict", "KnownVersion", "Reason", "WayBack", "judge"]

_LADDER: Final = (Bump.NONE, Bump.PATCH, Bump.MINOR, Bump.MAJOR)


class Reason(StrEnum):
    """What the judgement came to, in one word."""

    FIRST_VERSION = "FirstVersion"
    COMPATIBLE = "Compatible"
    SCHEMA_UNKNOWN = "SchemaUnknown"
    BUMP_TOO_SMALL = "BumpTooSmall"
    DUPLICATE_ARTIFACT = "DuplicateArtifact"
    VERSION_TAKEN = "VersionTaken"


class WayBack(StrEnum):
    """Whether clients of the candidate can go back to the version in production, else to the predecessor."""

    SAFE = "Safe"
    UNSAFE = "Unsafe"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompatibilityVerdict:
    """The judgement.

    Attributes:
        compatibility: for the status. Its ``rollback_safe`` is true only where the way back is known to be safe.
        accepted: whether the number keeps its promise, as far as the signatures tell.
        reason: why, in one word.
        message: why, in full sentences, and what to do.
        way_back: the three outcomes that ``rollback_safe`` cannot tell apart.
    """

    compatibility: Compatibility
    accepted: bool
    reason: Reason
    message: str
    way_back: WayBack


def judge(candidate: KnownVersion, known: Sequence[KnownVersion], production: str | None) -> CompatibilityVerdict:
    """Return whether the candidate's number keeps its promise. Pure and total.

    Args:
        candidate: the version in question; where ``known`` has it too, with the same ``spec_hash``, that is no matter.
        known: the versions of the model, in any order.
        production: the version that serves now; None where none does.
    """
    others = [one for one in known if not same_number(one, candidate)]
    serving = next((one for one in others if production is not None and is_version(one, production)), None)
    bases = bases_of(candidate, others, serving)
    steps = [step for one in bases if (step := step_between(candidate, one)) is not None]
    asking = max(steps, key=lambda step: (not step.kept, _LADDER.index(step.required)), default=None)
    missing = production is not None and serving is None and not is_version(candidate, production)
    back = _way_back(candidate, bases, serving, missing=missing)
    reason, message = (
        _taken(candidate, known)
        or _duplicate(candidate, others)
        or _too_small(candidate, asking)
        or _unknown(candidate, bases, production if missing else None)
        or _kept(candidate, asking)
    )
    return CompatibilityVerdict(
        compatibility=_compatibility(candidate, bases, asking, back),
        accepted=reason not in _REFUSALS,
        reason=reason,
        message=message,
        way_back=back,
    )


def _way_back(candidate: KnownVersion, bases: Bases, serving: KnownVersion | None, *, missing: bool) -> WayBack:
    if missing:
        return WayBack.UNKNOWN
    target = serving or next(iter(bases.nearest), None)
    if target is None:
        return WayBack.SAFE
    if target.signature is None or candidate.signature is None:
        return WayBack.UNKNOWN
    return WayBack.SAFE if forward(target.signature, candidate.signature) else WayBack.UNSAFE


# ---- what it comes to ---------------------------------------------------------------------------

_REFUSALS: Final = frozenset({Reason.VERSION_TAKEN, Reason.DUPLICATE_ARTIFACT, Reason.BUMP_TOO_SMALL})
_Verdict = tuple[Reason, str]


def _taken(candidate: KnownVersion, known: Sequence[KnownVersion]) -> _Verdict | None:
    for one in known:
        if same_number(one, candidate) and one.spec_hash != candidate.spec_hash:
            message = (
                f"{candidate.version} is known with another spec ({_short(one.spec_hash)}, not "
                f"{_short(candidate.spec_hash)}). A version never changes: give the new build a new number."
            )
            return Reason.VERSION_TAKEN, message
    return None


def _short(digest: str) -> str:
    return digest[:19] or "unknown"


def _duplicate(candidate: KnownVersion, others: Sequence[KnownVersion]) -> _Verdict | None:
    """N1. A release may be the very bytes of its own release candidate: that is what a candidate is for."""
    twins = [one for one in others if candidate.digest != "" and one.digest == candidate.digest]
    for one in sorted(twins, key=lambda twin: parse_version(twin.version)):
        if core_of(one.version) != core_of(candidate.version) and _same_promise(one, candidate):
            message = (
                f"{candidate.version} is the same artifact with the same signature as {one.version} "
                f"({_short(one.digest)}). Deploy {one.version}, or register what is really new."
            )
            return Reason.DUPLICATE_ARTIFACT, message
    return None


def _same_promise(one: KnownVersion, other: KnownVersion) -> bool:
    if one.signature is None or other.signature is None:
        return one.signature is other.signature
    return not diff(one.signature, other.signature)


def _too_small(candidate: KnownVersion, asking: Step | None) -> _Verdict | None:
    if asking is None or asking.kept:
        return None
    first, more = asking.changes[0], len(asking.changes) - 1
    rest = f" ({more} more change{'s' if more > 1 else ''})" if more else ""
    why = f"{first.path} ({first.rule}): {first.reason}{rest}"
    needed = f"a {asking.required} one is needed"
    if asking.lower == candidate.version:
        message = (
            f"{asking.higher} follows {candidate.version} by a {asking.declared} step, but {needed}: {why} "
            f"Keep {candidate.version} to what {asking.higher} promises too."
        )
    else:
        message = (
            f"{candidate.version} is a {asking.declared} step from {asking.lower}, but {needed}: {why} "
            f"Number it {_next(asking.lower, asking.required)} or higher, or keep the promise to clients of "
            f"{asking.lower}."
        )
    return Reason.BUMP_TOO_SMALL, message


def _next(version: str, bump: Bump) -> str:
    """Return the lowest release that has grown enough; below 1.0.0 a minor version plays the major's part."""
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
        silent = [candidate.version] if any(True for _ in bases) or missing else []
    else:
        silent = [one.version for one in bases.nearest if one.signature is None]
    if silent:
        states = "states" if len(silent) == 1 else "state"
        message = f"{' and '.join(silent)} {states} no signature, so nobody can say what {candidate.version} changes."
        return Reason.SCHEMA_UNKNOWN, message
    if missing is not None:
        message = f"{missing} is in production but is not among the known versions, so it could not be compared with."
        return Reason.SCHEMA_UNKNOWN, message
    return None


def _kept(candidate: KnownVersion, asking: Step | None) -> _Verdict:
    if asking is None:
        message = f"{candidate.version} has no earlier release and none in its line to be compared with."
        return Reason.FIRST_VERSION, message
    step = f"{asking.higher} is a {asking.declared} step from {asking.lower}"
    needs = "nothing that matters to a client has changed" if not asking.changes else f"{asking.required} is enough"
    return Reason.COMPATIBLE, f"{step}, and {needs}."


def _compatibility(candidate: KnownVersion, bases: Bases, asking: Step | None, back: WayBack) -> Compatibility:
    safe = back is WayBack.SAFE
    if asking is not None:
        return Compatibility(
            against=asking.against,
            declared=asking.declared,
            required=asking.required,
            rollback_safe=safe,
            changes=asking.changes[:MAX_CHANGES],
        )
    nearest = next(iter(bases.nearest), None)
    against = nearest.version if nearest is not None else ""
    declared = declared_bump(against, candidate.version) if against else Bump.NONE
    return Compatibility(against=against, declared=declared, required=Bump.NONE, rollback_safe=safe)
