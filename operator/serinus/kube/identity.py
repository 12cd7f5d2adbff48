"""Which cluster this is: the UID of its namespace kube-system, which lives as long as the cluster."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from serinus.errors import NotFoundError, RefusedError
from serinus.kube.client import Requests

_PATH: Final = "/api/v1/namespaces/kube-system"

logger = logging.getLogger(__name__)


def cluster_identity(client: Requests) -> Callable[[], Awaitable[str]]:
    """Return what reads the UID; it returns nothing where this process may not read it, and the name alone counts.

    The UID is what others identify a cluster by, too: OpenTelemetry, "k8s.cluster.uid".
    """

    async def identify() -> str:
        try:
            raw = await client.request("GET", _PATH)
        except (NotFoundError, RefusedError) as problem:
            logger.warning("the cluster has no identity, so another one of its name is not noticed: %s", problem)
            return ""
        return str(raw["metadata"]["uid"])

    return identify
