"""The Kubernetes store over an API server in memory; modules for other stores override ``place``."""

import pytest

from serinus.api.names import ObjectKey
from support.registry.kubernetes import KubernetesPlace, ListingApi
from support.registry.place import in_use


@pytest.fixture
def server() -> ListingApi:
    return ListingApi()


@pytest.fixture
def place(server: ListingApi) -> KubernetesPlace:
    return KubernetesPlace(lambda: server, "ml")


@pytest.fixture
async def model(place: KubernetesPlace) -> ObjectKey:
    return await in_use(place)
