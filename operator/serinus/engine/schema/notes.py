"""What a reviewer should know of a version although it breaks no rule: likely mistakes in its number and signature."""

import re
from collections.abc import Iterator
from typing import Final

from serinus.api.signature import Field, Signature
from serinus.engine.schema.dtypes import is_known, likely_meant
from serinus.engine.schema.fields import decimal_of, quoted
from serinus.engine.semver import describe_tag, parse_version

_SHOWN: Final = 3
_COUNTED: Final = re.compile(r"(a|alpha|b|beta|build|c|cr|dev|ea|m|post|pre|preview|rc|snapshot)\d+", re.IGNORECASE)


def number_notes(version: str) -> Iterator[str]:
    """Yield where the order of a number is not the one that its author is likely to expect."""
    tag = describe_tag(version)
    if tag is not None and parse_version(tag).prerelease is None:
        after = parse_version(tag).finalize_version().bump_patch()
        yield (
            f"By SemVer {version} comes before {tag}, for what follows the first hyphen makes it a prerelease: number "
            f"builds after {tag} as prereleases of the next release, such as {after}-dev.1."
        )
        return
    for identifier in (parse_version(version).prerelease or "").split("."):
        if _COUNTED.fullmatch(identifier):
            word = identifier.rstrip("0123456789")
            yield (
                f"SemVer compares {identifier} as text, so that {word}10 comes before {word}9: put a dot before the "
                f"number, as in {word}.{identifier.removeprefix(word)}."
            )


def signature_notes(signature: Signature | None) -> tuple[str, ...]:
    """Return the likely mistakes in a signature: unknown types, limits that exclude every value, odd lengths."""
    if signature is None:
        return ()
    found = [
        sentence
        for section in ("inputs", "outputs", "parameters")
        for field in getattr(signature, section)
        for sentence in _field_notes(field, f"{section}.{field.name}")
    ]
    rest = len(found) - _SHOWN
    return (*found[:_SHOWN], *([f"{rest} more fields look like mistakes."] if rest > 0 else ()))


def _field_notes(field: Field, path: str) -> Iterator[str]:
    if not is_known(field.dtype):
        meant = likely_meant(field.dtype)
        hint = f" (did you mean {meant}?)" if meant else ""
        yield f"{path}.dtype: {quoted(field.dtype)} is not a known type and equals only itself{hint}."
    least, most = decimal_of(field.min), decimal_of(field.max)
    if least is not None and most is not None and least > most:
        yield f"{path}: its min {quoted(field.min or '')} is above its max {quoted(field.max or '')}."
    if any(length < -1 for length in field.shape):
        yield f"{path}.shape: {list(field.shape)} has a negative length that is not -1; it is read as -1."
