"""The registry with exactly the chart's rights: the operator only appends; the archivist may remove."""

import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from serinus.api.audit_record import AuditEvent
from serinus.api.names import ObjectKey
from serinus.api.parsing import encode
from serinus.audit.archive import FolderArchive
from serinus.audit.retention import Remover, finish_removal, plan_removal
from serinus.engine.versions.catalogue import Query, VersionEntry
from serinus.errors import RefusedError
from serinus.kube.client import KubernetesClient
from serinus.registry.kubernetes.store import KubernetesStore
from serinus.registry.service import Registry
from support.kube.client import SystemClock
from support.kubectl import Kubectl
from support.manifests.builders import API_VERSION
from support.people import stamps
from support.registry.place import ALICE, BY, audit_entry, register, version_entry
from support.release import Release, installed, until_the_api_server_stamps

_VERSIONS: Final = ("2.2.4", "2.3.1")


@pytest.fixture(scope="module", params=["the whole cluster", "one namespace"])
def release(request: pytest.FixtureRequest, admin: Kubectl, user: Kubectl) -> Iterator[Release]:
    """The installed chart, in either scope."""
    scope = () if request.param == "the whole cluster" else (f"--set=namespaces={{{user.namespace}}}",)
    with installed(admin, *scope) as release:
        until_the_api_server_stamps(user, wanted=True)
        yield release


@pytest.fixture
def model(user: Kubectl) -> ObjectKey:
    """A model with two applied versions."""
    key = ObjectKey(user.namespace, f"fraud-{uuid.uuid4().hex[:8]}")
    user("create", "-f", "-", given=[_manifest(version_entry(key, version)) for version in _VERSIONS])
    return key


def _manifest(entry: VersionEntry) -> dict[str, object]:
    name = f"{entry.spec.model}-v{entry.version}"
    return {"apiVersion": API_VERSION, "kind": "ModelVersion", "metadata": {"name": name}, "spec": encode(entry.spec)}


@asynccontextmanager
async def _registry(kubeconfig: Path, namespace: str) -> AsyncIterator[Registry]:
    async with await KubernetesClient.open(kubeconfig) as client:
        yield Registry(KubernetesStore(client, namespaces=(namespace,)), SystemClock(), BY)


@pytest.fixture
async def operators(release: Release, model: ObjectKey, tmp_path: Path) -> AsyncIterator[Registry]:
    """The registry, accessed with the operator's account."""
    async with _registry(release.kubeconfig(tmp_path / "operator"), model.namespace) as registry:
        yield registry


@pytest.fixture
async def archivists(release: Release, user: Kubectl, model: ObjectKey, tmp_path: Path) -> AsyncIterator[Registry]:
    """The registry, accessed by a job with the archivist role only."""
    account = f"retention-{uuid.uuid4().hex[:8]}"
    user("create", "serviceaccount", account)
    subject = f"--serviceaccount={model.namespace}:{account}"
    user("create", "rolebinding", account, f"--clusterrole={release.name}-archivist", subject)
    config = json.loads(release.kubeconfig(tmp_path / "archivist").read_text(encoding="utf-8"))
    config["users"][0]["user"]["token"] = user("create", "token", account).strip()
    (tmp_path / "archivist").write_text(json.dumps(config), encoding="utf-8")
    async with _registry(tmp_path / "archivist", model.namespace) as registry:
        yield registry


async def _with_history(registry: Registry, model: ObjectKey) -> None:
    """Register and promote both versions, then roll back."""
    await register(registry, model, *_VERSIONS)
    for version in _VERSIONS:
        await registry.promote(model, version, audit_entry())
    await registry.rollback(model, audit_entry())


async def test_the_operator_may_register_promote_roll_back_and_verify(
    user: Kubectl, release: Release, operators: Registry, model: ObjectKey
) -> None:
    await _with_history(operators, model)
    verification = await operators.verify(model)
    assert (verification.ok, verification.records) == (True, 5)
    assert [entry.version for entry in await operators.list(model)] == ["2.3.1", "2.2.4"]
    assert model in [key async for key, _ in operators.store.list_models()]
    digest = version_entry(model, "2.2.4").digest
    assert [key async for key, _ in operators.store.find_versions(Query(digest=digest))] == [model]
    stored = user.json("get", "mdl", model.name)
    assert (stored["status"]["production"]["version"], stored["status"]["audit"]["sequence"]) == ("2.2.4", 5)
    assert stamps(stored) == (release.account, None, None)


async def test_the_operator_may_not_invent_versions(operators: Registry, model: ObjectKey) -> None:
    with pytest.raises(RefusedError, match="cannot create resource"):
        await register(operators, model, "9.9.9")


async def test_the_operator_cannot_remove_records_even_if_the_chain_declares_them_pruned(
    operators: Registry, model: ObjectKey
) -> None:
    await _with_history(operators, model)
    last = (await operators.head(model)).audit
    details = {"through": str(last.sequence), "hash": last.hash, "archive": "nowhere"}
    await operators.record(model, audit_entry(AuditEvent.RECORDS_PRUNED, details=details))
    with pytest.raises(RefusedError, match='cannot delete resource "auditrecords"'):
        await operators.store.remove_records(model, last.sequence)


async def test_the_archivist_archives_records_the_removal_and_removes(
    operators: Registry, archivists: Registry, model: ObjectKey, tmp_path: Path
) -> None:
    await _with_history(operators, model)
    store, clock = archivists.store, SystemClock()
    removal = await plan_removal(store, model, recorded_before=clock.now(), covered=None)
    archive = FolderArchive(tmp_path / "archive")
    remover = Remover(store=store, archive=archive, actor=ALICE, reason="their time is over", by=BY, clock=clock)
    await remover.archive_and_record(model, removal)
    assert await finish_removal(store, model) == 5
    verification = await operators.verify(model)
    assert (verification.ok, verification.records) == (True, 1)
