"""From raw events of the watch to records, for the sink."""

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from serinus.api.names import ObjectKey
from serinus.errors import InvalidObjectError
from serinus.kube.kinds import Source
from serinus.kube.raw import metadata_of
from serinus.ports.cluster_state import Record

logger = logging.getLogger(__name__)


class Sink(Protocol):
    """Receives the changes of the cluster's objects, in the main loop only and in the order of the watch."""

    def on_change(self, record: Record) -> None:
        """An object was added or modified; an older version may follow a newer one."""

    def on_delete(self, kind: type[Record], key: ObjectKey, uid: str) -> None:
        """An object was deleted; another one of the same name may exist by now, under another uid."""

    def on_relist(self, kind: type[Record]) -> None:
        """A new watch of this kind begins here: what it does not tell of is found by a list that begins after this."""


def dispatch(source: Source, kind_of_event: str | None, raw: Mapping[str, Any], sink: Sink) -> None:
    """Pass one event of the watch to the sink; an object that does not parse as its kind is logged and skipped.

    Args:
        source: the kind that is watched.
        kind_of_event: ``ADDED``, ``MODIFIED``, ``DELETED``, or None for an object of a list by kopf.
        raw: the object.
        sink: receives the record.
    """
    try:
        if kind_of_event == "DELETED":
            meta = metadata_of(raw).meta
            sink.on_delete(source.record, meta.key, meta.uid)
        else:
            sink.on_change(source.parse(raw))
    except InvalidObjectError as problem:
        metadata = raw.get("metadata") or {}
        where = f"{metadata.get('namespace') or ''}/{metadata.get('name')}"
        logger.warning("%s %s cannot be parsed and is skipped: %s", source.kind.kind, where, problem)
