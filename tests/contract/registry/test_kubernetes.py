"""The contract of the registry's stores, on the Kubernetes one over an API server in memory.

The real API server is asked in ``tests/integration/registry``.
"""

import pytest

from support.registry_contract import Place, RegistryContract
from support.registry_kubernetes import KubernetesPlace, ListingApi


@pytest.fixture
def place() -> Place:
    api = ListingApi()
    return KubernetesPlace(lambda: api, "ml")


class TestKubernetesInMemory(RegistryContract):
    pass
