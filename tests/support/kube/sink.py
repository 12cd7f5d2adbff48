"""A sink that records the calls of the watcher."""

from dataclasses import dataclass, field

from serinus.api.names import ObjectKey
from serinus.ports.cluster_state import Record


@dataclass
class RememberingSink:
    """Records every call, in order."""

    records: list[Record] = field(default_factory=list)
    deletions: list[tuple[type[Record], ObjectKey, str]] = field(default_factory=list)
    relisted: list[type[Record]] = field(default_factory=list)

    def on_change(self, record: Record) -> None:
        self.records.append(record)

    def on_delete(self, kind: type[Record], key: ObjectKey, uid: str) -> None:
        self.deletions.append((kind, key, uid))

    def on_relist(self, kind: type[Record]) -> None:
        self.relisted.append(kind)

    def latest(self, kind: type[Record], namespace: str) -> dict[str, Record]:
        """Return the latest record of every object of this kind in the namespace, by name."""
        return {
            record.meta.key.name: record
            for record in self.records
            if type(record) is kind and record.meta.key.namespace == namespace
        }
