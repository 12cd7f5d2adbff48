"""What every store of the registry must keep, alone and under the verbs.

Subclass :class:`RegistryContract` in a test module that has a fixture ``place``, a :class:`Place`.
"""

from support.registry_contract_moves import MovesContract
from support.registry_contract_trouble import TroubleContract
from support.registry_contract_versions import VersionsContract
from support.registry_place import Crash, Fault, Place

__all__ = ["Crash", "Fault", "Place", "RegistryContract"]


class RegistryContract(VersionsContract, MovesContract, TroubleContract):
    """The whole suite."""
