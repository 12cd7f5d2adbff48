"""The registry of model versions: which exist, which one is in production, and the audit trail.

Serving code outside Kubernetes reads it like this::

    import serinus.registry

    with serinus.registry.open("dynamodb://serinus?region=eu-central-1&namespace=payments") as registry:
        production = registry.production("fraud-detector")
"""

from serinus.registry.address import RegistryReader, open_store
from serinus.registry.address import open_reader as open  # noqa: A004 - the name that its callers read: registry.open

__all__ = ["RegistryReader", "open", "open_store"]
