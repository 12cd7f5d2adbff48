"""PLUMBING: one file for each data plane. A package adds one by the entry-point group ``serinus.routers``."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Final

from serinus.errors import ConfigurationError
from serinus.kube.client import Requests
from serinus.ports.services import TrafficRouter

GROUP: Final = "serinus.routers"

RouterFactory = Callable[[Requests], TrafficRouter]
"""What an entry point names: it makes the router on a client of the Kubernetes API."""


def load_router(name: str) -> RouterFactory:
    """Return what makes the router of this name.

    Raises:
        ConfigurationError: no installed package has such a router, several have, or it cannot be imported.
    """
    installed = entry_points(group=GROUP)
    found = list(installed.select(name=name))
    if len(found) != 1:
        known = ", ".join(sorted(installed.names)) or "none"
        problem = "no package has" if not found else "several packages have"
        raise ConfigurationError(f"{problem} a router named {name!r}; installed: {known}")
    try:
        factory: RouterFactory = found[0].load()
    except (ImportError, AttributeError) as problem:
        raise ConfigurationError(f"the router {name!r} ({found[0].value}) cannot be loaded: {problem}") from problem
    return factory
