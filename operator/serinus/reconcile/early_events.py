"""The events of the watch that come while the cluster is being listed for the first time."""

from collections.abc import Callable
from dataclasses import dataclass, field

from serinus.api.names import ObjectKey
from serinus.ports.cluster_state import Record


@dataclass(slots=True)
class EarlyEvents:
    """Holds the last event of each object until the first list of every kind was stored.

    Whatever an event causes would be decided without the objects that are not listed yet.
    """

    _last: dict[tuple[type[Record], ObjectKey], Callable[[], None]] = field(default_factory=dict)
    _over: bool = False

    def holds(self, kind: type[Record], key: ObjectKey, event: Callable[[], None]) -> bool:
        """Hold an event back and return True; return False once the first list is over."""
        if self._over:
            return False
        self._last.pop((kind, key), None)
        self._last[kind, key] = event
        return True

    def release(self) -> None:
        """Let all held events happen, in their order, and hold none from now on."""
        self._over = True
        last, self._last = self._last, {}
        for event in last.values():
            event()
