"""The contract of the registry's stores, on the Kubernetes one over an API server in memory.

``tests/integration/registry`` tests it on a real API server.
"""

from support.registry.contract import RegistryContract


class TestKubernetesInMemory(RegistryContract):
    pass
