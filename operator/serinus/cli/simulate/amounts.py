"""Rates, shares and times in the arguments of ``serinus simulate``."""

import math
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import click

from serinus.api.quantities import Duration

_PER: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}
_RATE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)/([smh])")
_SHARE: Final = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%")


def parse_rate(text: str) -> float:
    """Return requests a second of a text such as ``10/s`` or ``300/m``; BadParameter where it is malformed."""
    found = _RATE.fullmatch(text)
    if found is None or not float(found[1]) > 0:
        raise click.BadParameter(f"invalid rate {text!r}: write 10/s, 300/m or 5000/h")
    return float(found[1]) / _PER[found[2]]


def parse_share(text: str) -> float:
    """Return the ratio of a percentage such as ``0.5%``; BadParameter where it is none from 0% to 100%."""
    found = _SHARE.fullmatch(text)
    ratio = float(found[1]) / 100 if found is not None else math.inf
    if ratio > 1:
        raise click.BadParameter(f"invalid share {text!r}: write a percentage from 0% to 100%, such as 0.5%")
    return ratio


def parse_length(text: str) -> timedelta:
    """Return a length of time above 0 such as ``2h`` or ``180ms``; BadParameter where it is malformed."""
    try:
        length = Duration(text).value
    except ValueError as problem:
        raise click.BadParameter(str(problem)) from problem
    if length <= timedelta(0):
        raise click.BadParameter(f"invalid duration {text!r}: it must be longer than 0s")
    return length


def parse_count(least: int, most: int) -> Callable[[str], int]:
    """Return the parser of a whole number between two bounds."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not least <= int(text) <= most:
            raise click.BadParameter(f"invalid number {text!r}: write a whole number from {least:,} to {most:,}")
        return int(text)

    return parse
