"""The audit commands as a person runs them against the real API server: read, verify, witness, prune, verify all."""

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from localcluster.client import Cluster
from serinus.api.names import AUDIT_RECORD, MODEL, ObjectKey, audit_record_name
from serinus.kube.client import MERGE_PATCH, KubernetesClient
from serinus.kube.kinds import object_path
from serinus.registry.kubernetes.store import KubernetesStore
from serinus.registry.service import Registry
from support.audit.trails import TrailClock
from support.kube.client import api, cluster, namespace
from support.registry.place import BY, audit_entry, register
from support.servers.locked_bucket import CREDENTIALS, a_bucket, address

__all__ = ["api", "cluster", "namespace"]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody at a terminal whose kubeconfig has a current namespace."""

    kubeconfig: Path
    folder: Path

    async def __call__(self, *words: str) -> "subprocess.CompletedProcess[str]":
        environment = {
            **os.environ,
            **CREDENTIALS,
            "KUBECONFIG": str(self.kubeconfig),
            "PYTHONPATH": "operator",
        }
        command = [sys.executable, "-m", "serinus", *words]
        return await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, env=environment, timeout=60, check=False
        )


@pytest.fixture
def person(cluster: Cluster, tmp_path: Path) -> Person:
    return Person(cluster.kubeconfig, tmp_path)


@pytest.fixture
async def model(api: KubernetesClient, namespace: str) -> ObjectKey:
    """A model whose trail of six records is a year old, with a retention of thirty days."""
    key = ObjectKey(namespace, "fraud")
    store = KubernetesStore(api, namespaces=[namespace])
    registry = Registry(store, TrailClock(datetime.now(UTC).replace(microsecond=0) - timedelta(days=365)), BY)
    await register(registry, key, "1.0.0", "1.1.0", "2.0.0")
    await registry.promote(key, "1.0.0", audit_entry())
    await registry.promote(key, "1.1.0", audit_entry())
    await registry.rollback(key, audit_entry())
    return key


async def test_a_trail_is_read_witnessed_pruned_and_verified_from_its_first_record(
    api: KubernetesClient, model: ObjectKey, person: Person, endpoint: str
) -> None:
    name = str(model)
    shown = await person("audit", "log", name)
    assert shown.returncode == 0, shown.stderr
    assert [line.split()[3] for line in shown.stdout.splitlines()[1:]][-1] == "RolledBack"
    kept = ("audit", "prune", name, "--archive", str(person.folder / "kept"), "--yes")
    assert "has no spec.retentionDays" in (await person(*kept)).stdout
    policy = {"spec": {"retentionDays": 30}}
    await api.request("PATCH", object_path(MODEL, model), body=policy, content_type=MERGE_PATCH)
    assert (await person("audit", "keygen", "-o", str(person.folder / "key.pem"))).returncode == 0
    place = address(a_bucket(endpoint))
    key = ("--key-file", str(person.folder / "key.pem"))
    witnessed = await person("audit", "checkpoint", "--checkpoints", place, *key)
    assert witnessed.returncode == 0, witnessed.stderr
    against = ("--checkpoints", place, "--public-key", str(person.folder / "key.pub.pem"))
    pruned = await person(*kept, *against)
    assert pruned.returncode == 0, pruned.stderr
    assert "removed 6 archived records" in pruned.stdout
    store = KubernetesStore(api, namespaces=[model.namespace])
    assert [one.sequence async for one in store.read_records(model)] == [7]
    short = await person("audit", "verify", name, *against)
    assert (short.returncode, short.stdout[:14]) == (0, "ok: 1 record, "), short.stderr
    whole = await person("audit", "verify", name, *against, "--archive", str(person.folder / "kept"))
    assert whole.returncode == 0, whole.stdout
    assert whole.stdout.startswith("ok: 7 records (6 of them archived), head #7")
    assert whole.stdout.endswith("1 checkpoint\n")


async def test_a_record_that_was_deleted_behind_the_operators_back_is_found(
    api: KubernetesClient, model: ObjectKey, person: Person
) -> None:
    await api.request("DELETE", object_path(AUDIT_RECORD, ObjectKey(model.namespace, audit_record_name(model.name, 4))))
    found = await person("audit", "verify", model.name, "-n", model.namespace)
    assert found.returncode == 1, found.stderr
    assert "#4  Missing" in found.stdout


async def test_all_models_of_the_cluster_are_verified(model: ObjectKey, person: Person) -> None:
    found = await person("audit", "verify", "--all", "-n", model.namespace)
    assert (found.returncode, found.stdout.split(":")[0]) == (0, str(model)), found.stderr
    assert (await person("registry", "production", str(model))).stdout == "1.0.0\n"
    listed = await person("registry", "list", str(model))
    assert [line.split()[2] for line in listed.stdout.splitlines()[1:]] == ["Registered", "RolledBack", "Production"]


async def test_a_cluster_that_does_not_answer_is_no_verdict(person: Person, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\n"
        "clusters: [{name: x, cluster: {server: 'http://127.0.0.1:9'}}]\n"
        "contexts: [{name: x, context: {cluster: x, user: x}}]\nusers: [{name: x, user: {}}]\n"
    )
    found = await Person(kubeconfig, tmp_path)("audit", "verify", "fraud")
    assert found.returncode == 2
    assert "could not verify" in found.stderr
