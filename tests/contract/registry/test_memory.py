"""The contract of the registry's stores, on the one in memory: so that the suite itself is seen to hold."""

import pytest

from support.registry.contract import Place, RegistryContract
from support.registry.memory import MemoryPlace


@pytest.fixture
def place() -> Place:
    return MemoryPlace()


class TestMemory(RegistryContract):
    pass
