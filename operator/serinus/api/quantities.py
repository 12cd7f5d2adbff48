"""Quantities with a unit in the notation of manifests: ``2h``, ``5%``. They compare by value."""

import re
from datetime import timedelta
from functools import total_ordering
from typing import ClassVar, Final, Self

WEIGHT_SCALE: Final = 10_000
"""Shares of traffic are integers on this scale, so that 0.01 % is exact."""

LONGEST_TEXT: Final = 32
"""A quantity has no more characters than this."""


@total_ordering
class Duration:
    """A length of time such as ``2h``, ``1h30m``, ``10s`` or ``500ms``: Go's and CEL's notation without fractions."""

    __slots__ = ("_text", "_value")

    PATTERN: ClassVar[str] = r"^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,7}s)?([0-9]{1,9}ms)?$"
    DESCRIPTION: ClassVar[str] = "A length of time such as 2h, 1h30m, 10s or 500ms."
    ADVICE: ClassVar[str] = "use hours, minutes and seconds, such as 2h, 1h30m or 10s"
    _PARTS: ClassVar[re.Pattern[str]] = re.compile(PATTERN)

    def __init__(self, text: str) -> None:
        """Parse the text; ValueError where it is malformed."""
        parts = self._PARTS.fullmatch(text)
        if not text or parts is None or len(text) > LONGEST_TEXT:
            raise ValueError(f"invalid duration {text!r}: {self.ADVICE}")
        hours, minutes, seconds, millis = (int((part or "0").rstrip("hms")) for part in parts.groups())
        self._text = text
        self._value = timedelta(hours=hours, minutes=minutes, seconds=seconds, milliseconds=millis)

    @classmethod
    def of(cls, value: timedelta) -> Self:
        """Return the duration of this length, rounded to milliseconds."""
        return cls(format_duration(value))

    @property
    def value(self) -> timedelta:
        """The length of time."""
        return self._value

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return self._value.total_seconds()

    def __str__(self) -> str:
        """The original text."""
        return self._text

    def __repr__(self) -> str:
        """The constructor's call."""
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
        """Parse the text; ValueError where it is malformed."""
        if self._FORM.fullmatch(text) is None:
            raise ValueError(f"invalid share of traffic {text!r}: use a percentage between 0% and 100%, such as 5%")
        whole, _, fraction = text.rstrip("%").partition(".")
        self._parts = int(whole) * 100 + int(fraction.ljust(2, "0") or 0)

    @classmethod
    def of_parts(cls, parts: int) -> Self:
        """Return the share of this many ten-thousandths; ValueError outside 0 to 10,000."""
        if not 0 <= parts <= WEIGHT_SCALE:
            raise ValueError(f"invalid share {parts}: use 0 to {WEIGHT_SCALE} ten-thousandths")
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
        """The shortest form: ``5%``, ``0.5%``."""
        return f"{self._parts / 100:g}%"

    def __repr__(self) -> str:
        """The constructor's call."""
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
    """Return a length of time in :class:`Duration`'s notation, rounded to milliseconds; ``0s`` for a negative one."""
    millis = max(0, round(value.total_seconds() * 1000))
    sizes = (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
    text = ""
    for unit, size in sizes:
        count, millis = divmod(millis, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"
