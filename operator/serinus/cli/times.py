"""Times as people write them on the command line."""

import argparse
import re
from datetime import UTC, datetime, timedelta
from typing import Final

_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes"}


def when(text: str) -> datetime | timedelta:
    """Return a time as people write it: an ISO 8601 day or time (UTC where it names no zone), or an age such as 36h."""
    if age := re.fullmatch(r"(\d{1,6})([dhm])", text):
        return timedelta(**{_UNITS[age[2]]: int(age[1])})
    try:
        found = datetime.fromisoformat(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: write 2026-11-01, 2026-11-01T14:00Z or 36h"
        ) from problem
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def moment(given: datetime | timedelta, now: datetime) -> datetime:
    """Return the time that was meant."""
    return now - given if isinstance(given, timedelta) else given
