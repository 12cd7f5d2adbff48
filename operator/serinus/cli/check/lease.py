"""Whether an operator that is not of the chart runs, such as a plain process: it holds a Lease all the same."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from serinus.api.names import LEASE
from serinus.cli.check.cluster import Cluster, text_at, value_at
from serinus.cli.check.line import Line, failed, ok, unknown
from serinus.errors import RefusedError

NO_CHART: Final = "no Deployment of the chart is in the cluster"

_OF_OPERATOR: Final = re.compile(r"serinus(-shard-\d+)?")
"""The name of the common Lease, and of the shards'; see serinus.settings and serinus.kube.shards."""

_NOT_OF_NODES: Final = "--field-selector=metadata.namespace!=kube-node-lease"
"""A cluster has a Lease for each of its nodes."""

_CLOCKS: Final = timedelta(seconds=30)
"""So much the clock of this computer may differ from the operator's."""

_LONGEST: Final = 86_400
"""Seconds that a Lease may be valid; what says more is no Lease of ours."""

_SHOWN: Final = 3
_INSTALL: Final = "install the chart: helm install serinus deploy/helm/serinus --namespace serinus-system"
_ASK: Final = "ask an administrator: serinus check"


@dataclass(frozen=True, slots=True)
class _Held:
    """A Lease; ``renewed`` is None where that cannot be read, ``holder`` empty where nobody holds it."""

    place: str
    holder: str
    renewed: datetime | None
    length: timedelta

    def is_live(self, now: datetime) -> bool:
        """Return whether its holder has renewed it in time."""
        return bool(self.holder) and self.renewed is not None and now - self.renewed < self.length + _CLOCKS


def by_lease(cluster: Cluster, now: datetime) -> list[Line]:
    """Return whether an operator without a Deployment of the chart holds a Lease; raises as the cluster does."""
    try:
        found = cluster.get(f"{LEASE.plural}.{LEASE.group}", _NOT_OF_NODES, everywhere=True)
    except RefusedError:
        return [unknown("operator", f"{NO_CHART}, and you may not see Leases, which show any other operator", _ASK)]
    held = [_held(one) for one in found if _OF_OPERATOR.fullmatch(text_at(one, "metadata", "name"))]
    live = [one for one in held if one.is_live(now)]
    if live:
        unseen = "not known where the operator runs without a Deployment of the chart, whose ConfigMap has it"
        said = f"Lease {_holders(live)} (no Deployment of the chart was found)"
        remedy = "see the file that the operator was started with"
        return [ok("operator", said), unknown("configuration", unseen, remedy)]
    if held:
        said = f"Lease {_why_free(held[0])}, and no Deployment of the chart was found"
        return [failed("operator", said, f"start the operator, or {_INSTALL}")]
    return [failed("operator", f"{NO_CHART}, nor a Lease of an operator", _INSTALL)]


def _held(lease: Mapping[str, Any]) -> _Held:
    length = value_at(lease, "spec", "leaseDurationSeconds")
    return _Held(
        f"{text_at(lease, 'metadata', 'namespace')}/{text_at(lease, 'metadata', 'name')}",
        text_at(lease, "spec", "holderIdentity"),
        _time(text_at(lease, "spec", "renewTime")),
        timedelta(seconds=length) if isinstance(length, int) and 0 < length < _LONGEST else timedelta(),
    )


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _holders(live: Sequence[_Held]) -> str:
    first, *others = live[:_SHOWN]
    named = [f"{first.place} is held by {first.holder}", *(f"{one.place} by {one.holder}" for one in others)]
    more = len(live) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _why_free(lease: _Held) -> str:
    if not lease.holder:
        return f"{lease.place} has no holder"
    when = f": it was last renewed at {lease.renewed:%Y-%m-%dT%H:%M:%SZ}" if lease.renewed is not None else ""
    return f"{lease.place} of {lease.holder} has expired{when}"
