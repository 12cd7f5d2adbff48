"""Our finalizer comes and goes without touching anybody else's."""

import pytest

from serinus.api.names import FINALIZER, ObjectKey
from serinus.errors import ConflictError
from serinus.kube.finalizers import ApiFinalizers
from serinus.ports.cluster_state import Meta
from support.kube.memory import MemoryApi
from support.kube.objects import metadata
from support.manifests.builders import Manifest, rollout

PATH = "/apis/serinus.dev/v1alpha1/namespaces/ml/rollouts/fraud-detector"
META = Meta(key=ObjectKey("ml", "fraud-detector"), uid="uid-1", version=41)


def stored(*finalizers: str) -> Manifest:
    listed: Manifest = {"finalizers": list(finalizers)} if finalizers else {}
    return {**rollout(), "metadata": metadata(uid="uid-1") | listed}


@pytest.mark.parametrize("others", [(), ("example.org/keep",)], ids=["alone", "beside another"])
async def test_it_is_put_on_and_taken_off_beside_the_others(others: tuple[str, ...]) -> None:
    api = MemoryApi()
    api.put(PATH, stored(*others))
    finalizers = ApiFinalizers(api)

    assert (await finalizers.set(META, present=True)).has_finalizer
    assert api.objects[PATH]["metadata"]["finalizers"] == [*others, FINALIZER]
    assert not (await finalizers.set(META, present=False)).has_finalizer
    assert api.objects[PATH]["metadata"].get("finalizers", []) == list(others)


@pytest.mark.parametrize("present", [True, False])
async def test_what_is_so_already_is_not_written(present: bool) -> None:  # noqa: FBT001 - a case
    api = MemoryApi()
    api.put(PATH, stored(*([FINALIZER] if present else [])))

    await ApiFinalizers(api).set(META, present=present)

    assert api.writes() == []


async def test_a_rollout_that_was_made_anew_is_not_touched() -> None:
    api = MemoryApi()
    api.put(PATH, {**stored(), "metadata": metadata(uid="another")})

    with pytest.raises(ConflictError):
        await ApiFinalizers(api).set(META, present=True)
