"""What a store shows beside the chain, and its comparison with what the records say. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from serinus.engine.audit.chain import ChainFault, ChainFinding
from serinus.engine.audit.registrations import RegisteredVersion, RegisteredVersions

_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVersion:
    """One version as the store shows it.

    Attributes:
        version: its number.
        spec_hash: SHA-256 of the spec that is shown, computed anew; empty where it cannot be read.
        labels: its labels.
        registered_at: the time of its registration; None where it cannot be read.
        yanked: why it must never serve; empty where it may.
        defects: where its attributes contradict each other, in words.
    """

    version: str
    spec_hash: str = ""
    labels: Mapping[str, str] | None = None
    registered_at: datetime | None = None
    yanked: str = ""
    defects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredContents:
    """Everything that a store shows of a model beside its chain.

    Attributes:
        versions: its versions.
        defects: where the head's attributes contradict each other, or what does not belong there, in words.
        has_head: whether a head is stored.
        slack: so many records may be beyond the head without a fault: a store without transactions writes the records
            first, then moves the head. All but the last are steps of a run, which leave who may serve as it is.
        owned: whether only the registry writes the versions. Else they are the team's objects: the team may delete or
            label them, or ask for a yank, and only their spec is compared.
    """

    versions: tuple[StoredVersion, ...]
    defects: tuple[str, ...] = ()
    has_head: bool = True
    slack: int = 0
    owned: bool = True


def compare_contents(
    recorded: RegisteredVersions, contents: StoredContents, *, complete: bool
) -> Iterator[ChainFinding]:
    """Yield every difference between what a store shows and what the records say.

    Args:
        recorded: the versions of the records.
        contents: what the store shows.
        complete: whether the records name every version that was ever registered.
    """
    for defect in contents.defects:
        yield ChainFinding(ChainFault.ATTRIBUTE_DIFFERS, 0, defect)
    shown = {stored.version: stored for stored in contents.versions}
    for stored in contents.versions:
        yield from compare_version(recorded.get(stored.version), stored, contents, complete=complete)
    for known in recorded.all():
        if known.version not in shown:
            yield from compare_version(known, None, contents, complete=complete)


def compare_version(
    known: RegisteredVersion | None, stored: StoredVersion | None, contents: StoredContents, *, complete: bool
) -> Iterator[ChainFinding]:
    """Yield every difference between one version as stored and as recorded; see :func:`compare_contents`."""
    registered = known is not None and _is_registered(known)
    if stored is None:
        if contents.owned and known is not None and registered:
            message = f"{known.version}: it was registered, but the registry does not show it"
            yield ChainFinding(ChainFault.VERSION_MISSING, known.sequence, message)
        return
    number = known.sequence if known is not None else 0
    for message in (*stored.defects, *_differences(stored, known, contents)):
        yield ChainFinding(ChainFault.VERSION_DIFFERS, number, f"{stored.version}: {message}")
    if contents.owned and complete and not registered:
        yield ChainFinding(ChainFault.VERSION_UNRECORDED, 0, f"{stored.version}: no record registers this version")


def _is_registered(known: RegisteredVersion) -> bool:
    return bool(known.sequence or known.spec_hash)


def _differences(stored: StoredVersion, known: RegisteredVersion | None, contents: StoredContents) -> Iterator[str]:
    if known is None:
        return
    if known.spec_hash and stored.spec_hash and stored.spec_hash != known.spec_hash:
        yield f"its spec hashes to {stored.spec_hash}, but {known.spec_hash} was registered"
    if not contents.owned:
        return
    if known.labels is not None and stored.labels != known.labels:
        yield f"its labels are {stored.labels}, but {known.labels} were registered"
    if known.registered_at is not None and stored.registered_at not in {None, known.registered_at}:
        yield f"it shows {stored.registered_at} as its time, but the record {known.registered_at}"
    if bool(stored.yanked) != bool(known.yanked):
        shown, recorded = ("yanked", "not") if stored.yanked else ("not yanked", "that it is")
        yield f"it is shown as {shown}, but the records say {recorded}"


def unverifiable(recorded: RegisteredVersions, contents: StoredContents, *, complete: bool) -> Iterator[str]:
    """Yield what cannot be compared, because the records of earlier releases hold less."""
    shown = {stored.version for stored in contents.versions}
    known = sorted((one for one in recorded.all() if one.version in shown), key=lambda one: one.version)
    without_hash = [one.version for one in known if not one.spec_hash]
    if without_hash:
        yield (
            f"{_named(without_hash)}: recorded by an earlier release without the hash of the spec, so that nothing "
            "proves what is shown of it"
        )
    bare = [one.version for one in known if one.spec_hash and not one.holds_spec]
    if bare and contents.owned:
        yield (
            f"{_named(bare)}: the record holds the hash of the spec, not its labels and time: only the spec is compared"
        )
    absent = sorted(shown - {one.version for one in recorded.all()})
    if absent and not complete:
        yield f"{_named(absent)}: the record of its registration is not kept here: give --archive to compare it"


def _named(versions: Iterable[str]) -> str:
    names = list(versions)
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
