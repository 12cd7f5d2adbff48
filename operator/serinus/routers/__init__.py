"""Traffic routers, one module for each data plane; a package adds one by the entry-point group ``serinus.routers``."""

from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from typing import Final, Protocol

from serinus.api.route import RouteKind
from serinus.engine.rollout.actions import SetWeights
from serinus.engine.rollout.traffic.capabilities import RouterCapabilities
from serinus.errors import ConfigurationError, RefusedError
from serinus.kube.client import Requests
from serinus.kube.kinds import Source
from serinus.ports.cluster_state import RouteRecord
from serinus.ports.services import Guard

GROUP: Final = "serinus.routers"


class Router(Protocol):
    """Sets the weights of one kind of route; see the port ``TrafficRouter``."""

    async def set_weights(
        self, namespace: str, action: SetWeights, *, guard: Guard | None = None, known: RouteRecord | None = None
    ) -> RouteRecord:
        """Set the shares of a rule and return the route as it is now."""


class RouterFactory(Protocol):
    """The type of an entry point: makes a router that uses the given client of the Kubernetes API.

    The entry point's name is the field of ``spec.route``. A class that has these members is one.
    """

    @property
    def kind(self) -> RouteKind:
        """The kind of route."""

    @property
    def source(self) -> Source:
        """How its objects are watched and parsed."""

    @property
    def can(self) -> RouterCapabilities:
        """What can be done with it."""

    def __call__(self, client: Requests, /) -> Router:
        """Return the router."""


def load_router(name: str) -> RouterFactory:
    """Return the factory of the router with this name.

    Raises:
        ConfigurationError: no installed package has such a router, several have, it cannot be imported, or it is for
            another kind of route.
    """
    installed = entry_points(group=GROUP)
    matching = list(installed.select(name=name))
    if len(matching) != 1:
        known = ", ".join(sorted(installed.names)) or "none"
        problem = "no package has" if not matching else "several packages have"
        raise ConfigurationError(f"{problem} a router named {name!r}; installed: {known}")
    try:
        factory: RouterFactory = matching[0].load()
    except (ImportError, AttributeError) as problem:
        raise ConfigurationError(f"the router {name!r} ({matching[0].value}) cannot be loaded: {problem}") from problem
    if factory.kind.field != name:
        raise ConfigurationError(f"the router {name!r} ({matching[0].value}) is one for {factory.kind.path}")
    return factory


def load_routers(names: Iterable[str]) -> tuple[RouterFactory, ...]:
    """Return the factories of these routers; ConfigurationError as ``load_router``."""
    return tuple(load_router(name) for name in names)


class Routers:
    """Implements the port ``TrafficRouter`` with one router for each kind of route."""

    def __init__(self, client: Requests, factories: Iterable[RouterFactory]) -> None:
        """Make the routers, which write with this client."""
        made = tuple(factories)
        self._capabilities = {factory.kind: factory.can for factory in made}
        self._routers: Mapping[RouteKind, Router] = {factory.kind: factory(client) for factory in made}

    @property
    def capabilities(self) -> Mapping[RouteKind, RouterCapabilities]:
        """The kinds of routes that are switched on, and what can be done with each."""
        return self._capabilities

    async def set_weights(
        self, namespace: str, action: SetWeights, *, guard: Guard | None = None, known: RouteRecord | None = None
    ) -> RouteRecord:
        """Set the shares of a rule by the router of its kind; RefusedError where that is not switched on."""
        router = self._routers.get(action.route.kind)
        if router is None:
            raise RefusedError(f"{action.route.kind.path}: the router {action.route.kind.field} is not switched on")
        return await router.set_weights(namespace, action, guard=guard, known=known)
