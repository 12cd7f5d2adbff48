"""One copy of each text of a list: of thousands of objects most have the same few versions, names and sentences."""

from typing import Final

_LONGEST: Final = 256
_MOST: Final = 50_000
"""Texts that are remembered: enough that neighbours in a list share theirs, and a bound on what a list takes."""


class SharedTexts:
    """The texts of the objects that were read so far, while a list is being read."""

    def __init__(self) -> None:
        """Know none."""
        self._known: dict[str, str] = {}

    def in_object(self, raw: dict[str, object]) -> None:
        """Replace each text of an object by the copy that is known already; managedFields are not kept anyway."""
        if len(self._known) > _MOST:
            self._known.clear()
        for name, value in raw.items():
            if name != "managedFields":
                raw[name] = self._shared(value)

    def _shared(self, value: object) -> object:
        if isinstance(value, str):
            return self._known.setdefault(value, value) if len(value) <= _LONGEST else value
        if isinstance(value, dict):
            self.in_object(value)
        elif isinstance(value, list):
            value[:] = [self._shared(each) for each in value]
        return value
