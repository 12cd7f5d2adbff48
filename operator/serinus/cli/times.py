"""Times and ages in the arguments of commands."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import click

_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes"}


def parse_time(text: str) -> datetime | timedelta:
    """Return an ISO 8601 date or time (in UTC if it has no zone), or an age such as ``36h``.

    Raises:
        click.BadParameter: the text is neither.
    """
    if age := re.fullmatch(r"(\d{1,6})([dhm])", text):
        return timedelta(**{_UNITS[age[2]]: int(age[1])})
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as problem:
        raise click.BadParameter(f"invalid time {text!r}: write 2026-11-01, 2026-11-01T14:00Z or 36h") from problem


def parse_length(text: str) -> timedelta:
    """Return a length of time such as ``90s``, ``10m`` or ``2h``; at most 99,999 of the unit.

    Raises:
        click.BadParameter: the text is none.
    """
    found = re.fullmatch(r"([1-9]\d{0,4})([smh])", text)
    if found is None:
        raise click.BadParameter(f"invalid time {text!r}: write 90s, 10m or 2h")
    return timedelta(**{{"s": "seconds", "m": "minutes", "h": "hours"}[found[2]]: int(found[1])})


def resolve_time(time: datetime | timedelta, now: datetime) -> datetime:
    """Return the time itself, or the time that is so long ago; the first of all times for a longer age."""
    if not isinstance(time, timedelta):
        return time
    try:
        return now - time
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
