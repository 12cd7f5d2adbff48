"""The contract of the registry's stores, on the real API server."""

from support.registry.contract import RegistryContract


class TestKubernetes(RegistryContract):
    pass
