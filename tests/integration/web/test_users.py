"""The page inside a cluster against a real API server: tokens and RBAC as they really are."""

import base64
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from localcluster.client import Cluster
from serinus.kube.client import KubernetesClient
from serinus.web.app import build_app
from serinus.web.stream import Streams
from serinus.web.users import UserReaders
from support.kube.client import SystemClock, create
from support.web.asgi import HOST, get
from support.web.objects import rollout

RBAC = "rbac.authorization.k8s.io"


async def _token(api: KubernetesClient, account: str, namespace: str, *, admitted: bool) -> str:
    """Return the token of a new ServiceAccount that may read the Rollouts of the namespace, or nothing."""
    root, about = f"/api/v1/namespaces/{namespace}/serviceaccounts", {"name": account, "namespace": namespace}
    await api.request("POST", root, body={"metadata": about})
    if admitted:
        rule = {"apiGroups": ["serinus.dev"], "resources": ["rollouts"], "verbs": ["get", "list"]}
        role = {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": about, "rules": [rule]}
        await create(api, role, "roles", namespace)
        binding = {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": about,
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": account},
            "subjects": [{"kind": "ServiceAccount", **about}],
        }
        await create(api, binding, "rolebindings", namespace)
    issued = await api.request("POST", f"{root}/{account}/token", body={"spec": {"expirationSeconds": 600}})
    token: str = issued["status"]["token"]
    return token


async def test_a_real_token_reads_what_rbac_admits_and_nothing_else(
    cluster: Cluster, api: KubernetesClient, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = {name: part for name, part in rollout("fraud", namespace).items() if name != "status"}
    await create(api, {**manifest, "metadata": {"name": "fraud", "namespace": namespace}}, "rollouts", namespace)
    reader, nobody = [
        await _token(api, account, namespace, admitted=account == "reader") for account in ("reader", "nobody")
    ]
    # As in a pod: the address is in the environment, the certificates in a file.
    address = urlsplit(cluster.api_url)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", address.hostname or "")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
    config = yaml.safe_load(cluster.kubeconfig.read_text(encoding="utf-8"))
    authority = tmp_path / "ca.crt"
    authority.write_bytes(base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]))
    clock = SystemClock()
    readers = UserReaders(lambda token: KubernetesClient.for_user(token, authority), clock)
    app = build_app(readers.of, clock, (HOST,), Streams(clock))

    async def status(target: str, token: str) -> int:
        return (await get(app, target, headers={"authorization": f"Bearer {token}"})).status

    page = f"/rollouts/{namespace}/fraud"
    try:
        assert await status(f"/?namespace={namespace}", reader) == 200
        assert await status(page, reader) == 200
        assert await status("/", reader) == 403
        assert await status("/?namespace=default", reader) == 403
        assert await status(f"/?namespace={namespace}", nobody) == 403
        assert await status(page, nobody) == 403
        assert await status(page, "no-token-of-this-cluster") == 403
        assert (await get(app, page)).status == 401
    finally:
        await readers.close()
