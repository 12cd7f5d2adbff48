"""What a router can do: a plan that asks for more is refused before it starts."""

from dataclasses import dataclass
from typing import Final

WHOLE_PERCENTS: Final = 100
"""The unit of a data plane that divides its traffic into whole percents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterCapabilities:
    """What one kind of route can do.

    Attributes:
        unit: the smallest share that can be set, in ten-thousandths; 1 means fractions of a percent.
        manages_backends: whether backends can be added to the rule and removed from it; otherwise the author of the
            object lists them, and only their weights are set.
        subsets: whether one Service may have several backends that are told apart by the name of a subset.
        services_only: whether every backend is a core Service; otherwise any kind can be named, such as InferencePool.
        acceptance: whether the controller of the data plane always reports that it carries the object as it stands.
            Where it does not, the route itself and the observed share of the requests are what is known.
        mirror: whether it has requests copied to a backend whose answers nobody sees, in a route that it manages.
        header_match: whether requests with a header can be sent to a backend.
        drift: whether a weight that somebody else changes is seen and put right.
    """

    unit: int = 1
    manages_backends: bool = True
    subsets: bool = False
    services_only: bool = False
    acceptance: bool = True
    mirror: bool = False
    header_match: bool = True
    drift: bool = True


GATEWAY_API: Final = RouterCapabilities()
"""What every route of the Gateway API can do."""

HTTP_ROUTE: Final = RouterCapabilities(mirror=True)
"""What an HTTPRoute can do."""
