"""The contract of the registry's stores, on the real API server."""

from support.registry.concurrency import rivals
from support.registry.contract import RegistryContract
from support.registry.kubernetes import KubernetesPlace


class TestKubernetes(RegistryContract):
    pass


async def test_of_several_specs_registered_at_once_under_one_number_one_is_registered(place: KubernetesPlace) -> None:
    await rivals(place, place.fresh_model())
