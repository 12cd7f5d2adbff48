"""The contract of every store of the registry, tested alone and under the registry's operations.

Subclass :class:`RegistryContract` in a test module that has a fixture ``place``, a :class:`Place`.
"""

from support.registry.contract_failures import FailuresContract
from support.registry.contract_moves import MovesContract
from support.registry.contract_versions import VersionsContract
from support.registry.place import Crash, Fault, Place

__all__ = ["Crash", "Fault", "Place", "RegistryContract"]


class RegistryContract(VersionsContract, MovesContract, FailuresContract):
    """The whole suite."""
