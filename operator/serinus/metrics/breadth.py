"""Whether many backends are named one by one in a query, or found by what their names have in common."""

from dataclasses import replace
from typing import Final

from serinus.metrics.health import Health
from serinus.metrics.presets import Key, Preset
from serinus.metrics.queries import breadth_query
from serinus.metrics.workers import Failure

_MANY: Final = 200
"""Fewer names cost Prometheus little."""

_MOST: Final = 2.0
"""So many times the backends that are asked about may be found: others cost as much as these."""

_COUNT_EVERY_MS: Final = 600_000


class Breadth:
    """Chooses how the backends of a preset are selected, by how many others the broad way would find."""

    def __init__(self, preset: Preset) -> None:
        """Begin by naming them."""
        self._narrow, self._broad = preset, replace(preset, by_prefix=True)
        self._found = float("inf")
        self._counted_at = 0

    def preset_for(self, keys: frozenset[Key]) -> Preset:
        """Return the preset by which these backends are selected; rows may be about others, too."""
        return self._broad if len(keys) >= _MANY and self._found <= _MOST * len(keys) else self._narrow

    def query(self, keys: frozenset[Key], at: int) -> str:
        """Return the query that counts the backends; empty while that is not due (``at`` in ms since 1970)."""
        due = not 0 <= at - self._counted_at < _COUNT_EVERY_MS
        return breadth_query(self._narrow, keys) if due and len(keys) >= _MANY else ""

    def record(self, health: Health | Failure, at: int) -> None:
        """Note how many were found, where that was asked; one that cannot be answered has the backends named."""
        if isinstance(health, Failure):
            self._found = float("inf")
        elif health.breadth is not None:
            self._found, self._counted_at = health.breadth, at
