"""The contract of the registry's stores on the one in memory, which validates the suite itself."""

import pytest

from support.registry.contract import Place, RegistryContract
from support.registry.memory import MemoryPlace


@pytest.fixture
def place() -> Place:
    return MemoryPlace()


class TestMemory(RegistryContract):
    pass
