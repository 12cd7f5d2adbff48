"""A status is written to the object that was seen, whatever else of it has changed, and to no other of its name."""

from collections.abc import Awaitable, Callable

import pytest

from serinus.api.modelversion import ModelVersionStatus
from serinus.api.names import MODEL, MODEL_VERSION, Kind, ObjectKey
from serinus.errors import ConflictError, NotFoundError
from serinus.kube.kinds import object_path
from serinus.kube.status import ApiStatusWriter
from serinus.ports.cluster_state import Meta
from support.kube.memory import MemoryApi
from support.kube.objects import metadata

KEY = ObjectKey("ml", "fraud")
Write = Callable[[ApiStatusWriter, Meta], Awaitable[None]]

WRITES: dict[str, tuple[Kind, Write]] = {
    "stage": (MODEL_VERSION, lambda writer, meta: writer.write_model_version(meta, stage="Canary", traffic="5%")),
    "review": (
        MODEL_VERSION,
        lambda writer, meta: writer.write_review(meta, ModelVersionStatus(stage="Canary"), with_traffic=False),
    ),
    "policy": (MODEL, lambda writer, meta: writer.write_policy_seen(meta, 1)),
}


def stored(api: MemoryApi, kind: Kind, uid: str) -> Meta:
    raw = api.put(object_path(kind, KEY), {"metadata": metadata(KEY.name, uid=uid) | {"namespace": KEY.namespace}})
    # Where a status is written, the fake API has an object of its own.
    api.objects[f"{object_path(kind, KEY)}/status"] = raw
    return Meta(key=KEY, uid=uid, version=int(raw["metadata"]["resourceVersion"]))


@pytest.mark.parametrize("name", WRITES)
async def test_an_object_that_was_made_anew_under_the_name_is_not_touched(name: str) -> None:
    kind, write = WRITES[name]
    api = MemoryApi()
    seen = stored(api, kind, "uid-1")
    stored(api, kind, "uid-2")
    with pytest.raises(NotFoundError):
        await write(ApiStatusWriter(api), seen)
    assert "status" not in api.objects[f"{object_path(kind, KEY)}/status"]


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("known", [True, False], ids=["an older version", "no version"])
async def test_what_else_of_it_was_changed_is_no_reason_not_to_write(name: str, *, known: bool) -> None:
    kind, write = WRITES[name]
    api = MemoryApi()
    seen = stored(api, kind, "uid-1")
    stored(api, kind, "uid-1")
    await write(ApiStatusWriter(api), seen if known else Meta(key=KEY, uid="uid-1", version=0))
    assert api.objects[f"{object_path(kind, KEY)}/status"]["status"]


async def test_where_it_changes_all_the_time_the_write_fails_in_the_end() -> None:
    api = MemoryApi()
    seen = stored(api, MODEL, "uid-1")
    api.before.extend([ConflictError("changed"), None] * 10)
    with pytest.raises(ConflictError):
        await ApiStatusWriter(api).write_policy_seen(seen, 1)
    assert len(api.writes()) == 4
