"""What comes in from the watch: raw events become records and cross into the main loop."""

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
    """Takes in what the cluster's objects do; called in the main loop only, in the order of the watch."""

    def on_change(self, record: Record) -> None:
        """An object is like this now; an older sight may follow a newer one."""

    def on_delete(self, kind: type[Record], key: ObjectKey, uid: str) -> None:
        """An object was deleted; one of the same name may exist anew under another uid."""

    def on_relist(self) -> None:
        """The watch was interrupted: deletions may have been missed, so everything must be listed anew."""


def dispatch(source: Source, kind_of_event: str | None, raw: Mapping[str, Any], sink: Sink) -> None:
    """Give one event of the watch to the sink; an object without the form of its kind is logged and left out.

    Args:
        source: the kind that is watched.
        kind_of_event: ``ADDED``, ``MODIFIED``, ``DELETED``, or None for an object of the first list.
        raw: the object.
        sink: who takes it.
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
        logger.warning("%s %s cannot be read and is left out: %s", source.kind.kind, where, problem)
