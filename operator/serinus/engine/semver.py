"""SemVer: the order of versions, the compatibility that a number implies, and sort keys for a store.

The rules are those of semver.org 2.0.0, through the ``semver`` package; below 1.0.0 the minor number acts as the major,
as ``^0.y`` does in every package manager that supports SemVer.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from semver import Version

from serinus.api.modelversion import Bump

_REMEMBERED: Final = 2**14
"""Numbers whose parts and order are remembered: a model's thousand versions are each compared with all others."""

_DIGITS = 10
_DESCRIBED = re.compile(r"(?:(?P<tag>.+)-)?[0-9]+-g[0-9a-f]{4,40}(?:-dirty)?")
_LADDER = (Bump.NONE, Bump.PATCH, Bump.MINOR, Bump.MAJOR)


@lru_cache(maxsize=_REMEMBERED)
def parse_version(text: str) -> Version:
    """Return the version; a leading ``v`` is dropped.

    Raises:
        ValueError: the text is not a SemVer 2.0 version, or it has build metadata, which has no order.
    """
    version = Version.parse(text.removeprefix("v"))
    if version.build is not None:
        raise ValueError(f"{text!r} has build metadata, which has no order: leave out +{version.build}")
    return version


Place = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]
"""Major, minor and patch number, whether it is a release, and the prerelease's identifiers."""


@lru_cache(maxsize=_REMEMBERED)
def place_of(text: str) -> Place:
    """Return a version's place in the order of SemVer (semver.org, 11): tuples compare faster than its parts do."""
    version = parse_version(text)
    identifiers = version.prerelease.split(".") if version.prerelease is not None else []
    parts = tuple((False, int(part), "") if part.isdecimal() else (True, 0, part) for part in identifiers)
    return version.major, version.minor, version.patch, version.prerelease is None, parts


def in_order(versions: Iterable[str]) -> list[str]:
    """Return the versions in SemVer order, lowest first."""
    return sorted(versions, key=parse_version)


def same_line(one: str, other: str) -> bool:
    """Return whether two versions imply mutual compatibility: the same major number, below 1.0.0 the same minor."""
    return line_of(place_of(one)) == line_of(place_of(other))


def line_of(place: Place) -> tuple[int, int]:
    """Return what the versions of one line have in common."""
    return place[0], place[1] if place[0] == 0 else 0


def is_release(place: Place) -> bool:
    """Return whether a version is a release, not a prerelease."""
    return place[3]


def declared_bump(before: str, after: str) -> Bump:
    """Return the bump from one version to the other; NONE where the number has not grown.

    Between two prereleases of the same core, and from a prerelease to its release, the bump is PATCH.
    """
    old, new = parse_version(before), parse_version(after)
    if new <= old:
        return Bump.NONE
    if not same_line(before, after):
        return Bump.MAJOR
    if old.minor != new.minor and old.major > 0:
        return Bump.MINOR
    return Bump.MINOR if old.major == 0 and old.patch != new.patch else Bump.PATCH


def describe_tag(version: str) -> str | None:
    """Return the tag that a number of ``git describe`` counts from, as 1.2.3 of 1.2.3-4-gabcdef0; else None."""
    number = parse_version(version)
    found = _DESCRIBED.fullmatch(number.prerelease or "")
    if found is None:
        return None
    return str(number.replace(prerelease=found["tag"]))


def at_least(bump: Bump, wanted: Bump) -> bool:
    """Return whether a bump is at least as great as another."""
    return _LADDER.index(bump) >= _LADDER.index(wanted)


def greatest(bumps: Iterable[Bump]) -> Bump:
    """Return the greatest bump; NONE for no bumps."""
    return max(bumps, key=_LADDER.index, default=Bump.NONE)


def sortable(text: str) -> str:
    """Return a sort key whose byte order is SemVer order.

    Numbers are padded to ten digits; a release sorts after its prereleases by ``~``; numeric identifiers are tagged to
    sort before alphanumeric ones, and a shorter list of identifiers before a longer one (semver.org, 11.4).
    """
    version = parse_version(text)
    core = ".".join(f"{number:0{_DIGITS}d}" for number in (version.major, version.minor, version.patch))
    if version.prerelease is None:
        return f"{core}~"
    return f"{core}-" + "".join(f"{_identifier(part)}!" for part in version.prerelease.split("."))


def _identifier(text: str) -> str:
    # The length prefix orders numbers of any size.
    return f"0{len(text):03d}{text}" if text.isdecimal() else f"1{text}"


def predecessor(version: str, others: Iterable[str]) -> str | None:
    """Return the highest of the others that is lower than this version; None where there is none."""
    lower = [other for other in others if parse_version(other) < parse_version(version)]
    return in_order(lower)[-1] if lower else None
