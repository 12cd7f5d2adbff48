"""Conversion of raw objects to typed values and back: the only place that reads the fields of our kinds by name."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec

from serinus.api.names import Command
from serinus.api.quantities import Duration, Share
from serinus.api.schema import SEMVER, SEMVER_ADVICE, FieldError, in_python
from serinus.errors import InvalidObjectError

_NO_SEMVER: Final = repr(in_python(SEMVER))
T = TypeVar("T", bound=msgspec.Struct)


def decode(kind: type[T], raw: object, path: str) -> T:
    """Return the typed value of raw data.

    Args:
        kind: the typed model.
        raw: the data that the API server stores under ``path``.
        path: its location, such as ``spec``; the prefix of the path in an error.

    Raises:
        InvalidObjectError: the data does not match the model; the error names the field and the problem.
    """
    try:
        return msgspec.convert(raw, kind, dec_hook=_read)
    except msgspec.ValidationError as problem:
        sentence, _, where = str(problem).partition(" - at `$")
        where = path + where.rstrip("`")
        if isinstance(problem.__cause__, FieldError):
            where, sentence = where + problem.__cause__.field, problem.__cause__.problem
        if sentence.endswith(_NO_SEMVER):
            sentence = SEMVER_ADVICE
        raise InvalidObjectError(where, sentence) from problem


def encode(value: msgspec.Struct) -> dict[str, Any]:
    """Return the plain mapping that the API server stores for this value."""
    raw: dict[str, Any] = msgspec.to_builtins(value, builtin_types=(datetime,), enc_hook=_write, str_keys=True)
    return {name: _plain(member) for name, member in raw.items()}


def _plain(value: object) -> object:
    """Return a value with times as text: UTC with a Z, in seconds or, where needed, milliseconds."""
    match value:
        case dict():
            return {name: _plain(member) for name, member in value.items()}
        case list() | tuple():
            return [_plain(member) for member in value]
        case datetime():
            digits = "milliseconds" if value.microsecond else "seconds"
            return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=digits) + "Z"
        case _:
            return value


def _read(kind: type[Any], raw: object) -> object:
    if kind in {Duration, Share} and isinstance(raw, str):
        return _quantity(Duration if kind is Duration else Share, raw)
    if kind is Share and isinstance(raw, int) and not isinstance(raw, bool):
        raise ValueError(f"write {raw}%")
    raise ValueError(f"expected text, got {raw!r}")


@lru_cache(maxsize=4096)
def _quantity(kind: type[Duration] | type[Share], text: str) -> Duration | Share:
    """Return one and the same quantity for a text: thousands of plans have the same few."""
    return kind(text)


def _write(value: object) -> object:
    if isinstance(value, Duration | Share):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} has no form in the API")


def commands_of(annotations: Mapping[str, str]) -> dict[str, str]:
    """Return the tokens of the commands in the annotations, by verb."""
    return {
        command.value: annotations[command.annotation] for command in Command if annotations.get(command.annotation)
    }
