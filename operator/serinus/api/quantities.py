"""Values with a unit, as people write them in a manifest: ``2h``, ``5%``.

Each class parses one text, keeps it, compares by value and is written back as it was read.
"""

import re
from datetime import timedelta
from functools import total_ordering
from typing import ClassVar, Final, Self

WEIGHT_SCALE: Final = 10_000
"""Shares of traffic are whole numbers on this scale, so 0.01 % is exact."""

LONGEST_TEXT: Final = 32
"""A quantity has no more characters than this."""


@total_ordering
class Duration:
    """A length of time such as ``2h``, ``1h30m``, ``10s`` or ``500ms``; what Go and CEL parse, without fractions."""

    __slots__ = ("_text", "_value")

    PATTERN: ClassVar[str] = r"^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,7}s)?([0-9]{1,9}ms)?$"
    DESCRIPTION: ClassVar[str] = "A length of time such as 2h, 1h30m, 10s or 500ms."
    _PARTS: ClassVar[re.Pattern[str]] = re.compile(PATTERN)

    def __init__(self, text: str) -> None:
        """Parse the text; ValueError where it has another form."""
        found = self._PARTS.fullmatch(text)
        if not text or found is None or len(text) > LONGEST_TEXT:
            raise ValueError(f"{text!r} is no duration: write hours, minutes and seconds, such as 2h, 1h30m or 10s")
        hours, minutes, seconds, millis = (int((part or "0").rstrip("hms")) for part in found.groups())
        self._text = text
        self._value = timedelta(hours=hours, minutes=minutes, seconds=seconds, milliseconds=millis)

    @classmethod
    def of(cls, value: timedelta) -> Self:
        """Return the duration that is this long, to the millisecond."""
        return cls(format_duration(value))

    @property
    def value(self) -> timedelta:
        """The length itself."""
        return self._value

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return self._value.total_seconds()

    def __str__(self) -> str:
        """As it was written."""
        return self._text

    def __repr__(self) -> str:
        """As it would be constructed."""
        return f"Duration({self._text!r})"

    def __eq__(self, other: object) -> bool:
        """``60s`` equals ``1m``."""
        return isinstance(other, Duration) and self._value == other._value

    def __lt__(self, other: "Duration") -> bool:
        """By length."""
        return self._value < other._value

    def __hash__(self) -> int:
        """By length."""
        return hash(self._value)


@total_ordering
class Share:
    """A share of traffic such as ``5%`` or ``0.25%``, exact to 0.01 %."""

    __slots__ = ("_parts",)

    PATTERN: ClassVar[str] = r"^(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)%$"
    DESCRIPTION: ClassVar[str] = "A share of traffic between 0% and 100%, with at most two decimals."
    _FORM: ClassVar[re.Pattern[str]] = re.compile(PATTERN)

    def __init__(self, text: str) -> None:
        """Parse the text; ValueError where it has another form."""
        if self._FORM.fullmatch(text) is None:
            raise ValueError(f"{text!r} is no share of traffic: write a percentage between 0% and 100%, such as 5%")
        whole, _, fraction = text.rstrip("%").partition(".")
        self._parts = int(whole) * 100 + int(fraction.ljust(2, "0") or 0)

    @classmethod
    def of_parts(cls, parts: int) -> Self:
        """Return the share that is so many ten-thousandths; ValueError outside 0 to 10,000."""
        if not 0 <= parts <= WEIGHT_SCALE:
            raise ValueError(f"{parts} is no share: 0 to {WEIGHT_SCALE} ten-thousandths")
        return cls(f"{parts // 100}.{parts % 100:02d}%")

    @property
    def parts(self) -> int:
        """Ten-thousandths of the traffic, 0 to 10,000."""
        return self._parts

    @property
    def ratio(self) -> float:
        """The share as a ratio, 0 to 1."""
        return self._parts / WEIGHT_SCALE

    def __str__(self) -> str:
        """In its shortest form: ``5%``, ``0.5%``."""
        return f"{self._parts / 100:g}%"

    def __repr__(self) -> str:
        """As it would be constructed."""
        return f"Share({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        """``5%`` equals ``5.0%``."""
        return isinstance(other, Share) and self._parts == other._parts

    def __lt__(self, other: "Share") -> bool:
        """By size."""
        return self._parts < other._parts

    def __hash__(self) -> int:
        """By size."""
        return hash(self._parts)


NONE_OF_IT: Final = Share("0%")
ALL_OF_IT: Final = Share("100%")


def format_duration(value: timedelta) -> str:
    """Write a length of time as :class:`Duration` reads it, to the millisecond; negative lengths are ``0s``."""
    millis = max(0, round(value.total_seconds() * 1000))
    sizes = (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
    text = ""
    for unit, size in sizes:
        count, millis = divmod(millis, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"
