"""The labels of series: one object for each set of them, and what they say read once.

The answers of all ticks have mostly the same series, tens of thousands with a thousand canaries, and reading their
labels anew was a third of what a tick cost this process.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Generic, TypeVar

import msgspec

T = TypeVar("T")

Labels = Mapping[str, str]

Row = tuple[Labels, float]
"""Labels and value."""

_KEPT: Final = 60.0
"""Seconds that a set is kept at least after it was asked for, and twice as many at most: several ticks."""

_DECODER: Final = msgspec.json.Decoder(dict[str, str])


class LabelSets:
    """Returns the same object for the same labels as long as answers go on to have them; several threads may ask."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Begin without any; ``monotonic`` is a clock in seconds."""
        self._recent: dict[bytes, Labels] = {}
        self._before: dict[bytes, Labels] = {}
        self._monotonic, self._since = monotonic, monotonic()

    def of(self, texts: Sequence[bytes]) -> list[Labels]:
        """Return the labels of which these are the JSON; nobody may change them.

        Raises:
            msgspec.DecodeError: a text is not an object of strings.
        """
        now = self._monotonic()
        if now - self._since >= _KEPT:
            self._before, self._recent, self._since = self._recent, {}, now
        recent, before, found = self._recent, self._before, list[Labels]()
        for text in texts:
            labels = recent.get(text)
            if labels is None:
                labels = before.get(text)
                if labels is None:
                    labels = _DECODER.decode(text)
                recent[text] = labels
            found.append(labels)
        return found


class ByLabels(Generic[T]):
    """What rows say by their labels; of those that the rows before had as well it is known already."""

    def __init__(self, read: Callable[[Labels], T]) -> None:
        """``read`` returns what labels say."""
        self._read = read
        self._known: dict[int, tuple[Labels, T]] = {}

    def over(self, rows: Iterable[Row]) -> list[tuple[T, float]]:
        """Return what the labels of each row say, and its value."""
        before, known, found = self._known, dict[int, tuple[Labels, T]](), list[tuple[T, float]]()
        for labels, value in rows:
            # By identity, which is quick: the labels are kept here, so no others can have taken their place.
            place = id(labels)
            entry = before.get(place)
            if entry is None or entry[0] is not labels:
                entry = (labels, self._read(labels))
            known[place] = entry
            found.append((entry[1], value))
        self._known = known
        return found
