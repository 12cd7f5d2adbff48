"""What is known of the route that carries a model's traffic, and of the backends that it names."""

from dataclasses import dataclass
from typing import NamedTuple

from serinus.api.modelversion import BackendRef
from serinus.engine.rollout.traffic.capabilities import GATEWAY_API, RouterCapabilities
from serinus.engine.rollout.waiting import WaitReason


class BackendKey(NamedTuple):
    """What identifies a backend in a route: two ports of one Service are two backends, and so are two subsets."""

    group: str
    kind: str
    name: str
    port: int | None = None
    subset: str = ""

    @property
    def label(self) -> str:
        """Its name for people and for the status: ``name:port[subset]``, with the kind unless it is a core Service."""
        kind = f"{self.kind}.{self.group}" if self.group else self.kind
        prefix = "" if (self.group, self.kind) == ("", "Service") else f"{kind}/"
        port = f":{self.port}" if self.port is not None else ""
        return f"{prefix}{self.name}{port}{f'[{self.subset}]' if self.subset else ''}"

    @property
    def is_service(self) -> bool:
        """Whether it is a core Service, whose EndpointSlices tell its endpoints."""
        return (self.group, self.kind) == ("", "Service")

    def overlaps(self, other: "BackendKey") -> bool:
        """Return whether some pod may answer for both: a Service without a subset has the pods of every subset."""
        parted = self.subset and other.subset
        return self == other or (not parted and self._replace(subset="") == other._replace(subset=""))

    def may_be(self, other: "BackendKey") -> bool:
        """Return whether both may mean the same backend: a Service with one port may be named without it."""
        return self == other or (self.is_service and self.port is None and self == other._replace(port=None))


def backend_key(backend: BackendRef) -> BackendKey:
    """Return the identity of a ModelVersion's backend."""
    return BackendKey(backend.group, backend.kind, backend.name, backend.port, backend.subset)


@dataclass(frozen=True, slots=True)
class RouteEntry:
    """One backendRef of the route's rule.

    Attributes:
        key: which backend.
        weight: its weight in the rule.
        filters: its own filters as canonical JSON; empty where it has none.
    """

    key: BackendKey
    weight: int
    filters: str = ""


class Mirror(NamedTuple):
    """A backend that gets copies of a rule's requests, and of how many ten-thousandths of them."""

    key: BackendKey
    parts: int


@dataclass(frozen=True, slots=True)
class ParentFacts:
    """What one controller reports of one parent of the route (a Gateway's listener).

    Attributes:
        name: the parent, and the controller where more than one reports of it.
        accepted: ``Accepted`` is True: the controller carries the rules, with their weights.
        observed_generation: of the route, when the controller reported this; 0 where it has not reported yet.
        resolved: ``ResolvedRefs`` is True and nothing is ``PartiallyInvalid``: every backend of the rules works.
        message: what is wrong; empty where nothing is.
    """

    name: str
    accepted: bool
    observed_generation: int
    resolved: bool = True
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteFacts:
    """The rule that carries the model's traffic.

    Attributes:
        generation: the route's generation that shows these entries.
        entries: the rule's backendRefs in order, foreign ones included.
        parents: one for each parentRef; a parent that has said nothing yet is not accepted at generation 0.
        written_by: the field manager that wrote the rules last, for the story of a drift.
        can: what the route's router can do.
        not_ours: why a managed route may not be changed, during a run: somebody has put another one in its place. Only
            a version that is given up loses its traffic in it. None where it may.
        mirrors: what gets copies of the rule's requests, in order; None where that is not the operator's to set, since
            it has not made the route for this Rollout.
    """

    generation: int
    entries: tuple[RouteEntry, ...]
    parents: tuple[ParentFacts, ...]
    written_by: str = ""
    can: RouterCapabilities = GATEWAY_API
    not_ours: "RouteProblem | None" = None
    mirrors: tuple[Mirror, ...] | None = None


@dataclass(frozen=True, slots=True)
class RouteProblem:
    """The route cannot carry the traffic: not there, no such rule, owned by another controller.

    ``message`` says what to do.
    """

    reason: WaitReason
    message: str
