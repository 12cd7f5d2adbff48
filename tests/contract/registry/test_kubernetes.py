"""The contract of the registry's stores, on the Kubernetes one over an API server in memory.

The real API server is asked in ``tests/integration/registry``.
"""

from support.registry.contract import RegistryContract


class TestKubernetesInMemory(RegistryContract):
    pass
