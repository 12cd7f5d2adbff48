"""Traffic routers, one module for each data plane; a package adds one by the entry-point group ``serinus.routers``."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Final

from serinus.errors import ConfigurationError
from serinus.kube.client import Requests
from serinus.ports.services import TrafficRouter

GROUP: Final = "serinus.routers"

RouterFactory = Callable[[Requests], TrafficRouter]
"""The type of an entry point: returns a router that uses the given client of the Kubernetes API."""


def load_router(name: str) -> RouterFactory:
    """Return the factory of the router with this name.

    Raises:
        ConfigurationError: no installed package has such a router, several have, or it cannot be imported.
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
    return factory
