"""Texts for people that may quote what somebody else wrote."""

import re
from typing import Final

UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tabs and line breaks, those that turn the direction of writing, and halves of characters.

They could control the terminal of who reads a status, an event or the log, or hide what they stand in.
"""


LONGEST_REASON: Final = 4096
"""As in the records and statuses that hold one: the API server would refuse a longer one again and again."""


def without_controls(text: str) -> str:
    """Return the text with U+FFFD for each unprintable character; its length stays the same."""
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def sentence(text: str, most: int) -> str:
    """Return the text without unprintable characters, and with an ellipsis where it is cut to ``most`` characters."""
    shown = without_controls(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
