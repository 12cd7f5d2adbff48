"""etcd, the API server and the controllers."""

from pathlib import Path
from typing import Final

from localcluster.addresses import (
    API_PORT,
    CONTROLLER_MANAGER_PORT,
    ETCD_PEER_PORT,
    ETCD_PORT,
    LOOPBACK,
    NODE,
    SERVICE_NETWORK,
)
from localcluster.api import Api
from localcluster.certificates import Authority
from localcluster.parts.part import Check, Part, answers
from localcluster.settings import Settings

_ETCD: Final = f"http://{LOOPBACK}:{ETCD_PORT}"
_ETCD_PEER: Final = f"http://{LOOPBACK}:{ETCD_PEER_PORT}"
_AUDIT_POLICY: Final = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, verbs: [get, list, watch]}
- {level: None, resources: [{group: coordination.k8s.io, resources: [leases]}]}
- {level: RequestResponse}
"""


def etcd(settings: Settings) -> Part:
    """Return etcd; without fsync, because nothing has to outlive the cluster."""
    return Part(
        name="etcd",
        command=(
            str(settings.programs / "etcd"),
            f"--data-dir={settings.state / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}",
            f"--listen-peer-urls={_ETCD_PEER}",
            f"--initial-advertise-peer-urls={_ETCD_PEER}",
            f"--initial-cluster=default={_ETCD_PEER}",
            "--log-level=warn",
        ),
        ready=answers(f"{_ETCD}/health"),
    )


def apiserver(settings: Settings, authority: Authority) -> Part:
    """Return the API server, with RBAC and the default admission plugins."""
    return Part(
        name="apiserver",
        command=(
            str(settings.api_server or settings.programs / "kube-apiserver"),
            f"--etcd-servers={_ETCD}",
            f"--advertise-address={NODE}",
            f"--secure-port={API_PORT}",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            "--profiling=false",
            f"--cert-dir={settings.state / 'pki'}",
            f"--client-ca-file={authority.certificate('ca')}",
            f"--tls-cert-file={authority.certificate('server')}",
            f"--tls-private-key-file={authority.key('server')}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={authority.key('tokens')}",
            f"--service-account-signing-key-file={authority.key('tokens')}",
            f"--kubelet-certificate-authority={authority.certificate('ca')}",
            f"--kubelet-client-certificate={authority.certificate('kubelet-client')}",
            f"--kubelet-client-key={authority.key('kubelet-client')}",
            "--kubelet-preferred-address-types=InternalIP",
            *_emulated(settings),
            *settings.api_server_flags,
            *(_audit(settings) if settings.audit else ()),
        ),
        ready=_api_ready(settings.kubeconfig()),
    )


def controller_manager(settings: Settings, authority: Authority) -> Part:
    """Return the controller manager; each controller uses its own service account, as in a real cluster."""
    kubeconfig = settings.kubeconfig("controller-manager")
    return Part(
        name="controller-manager",
        command=(
            str(settings.programs / "kube-controller-manager"),
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={CONTROLLER_MANAGER_PORT}",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={authority.key('tokens')}",
            f"--root-ca-file={authority.certificate('ca')}",
            f"--cluster-signing-cert-file={authority.certificate('ca')}",
            f"--cluster-signing-key-file={authority.key('ca')}",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            "--profiling=false",
            *_emulated(settings),
        ),
        ready=answers(f"https://{LOOPBACK}:{CONTROLLER_MANAGER_PORT}/healthz"),
    )


def _emulated(settings: Settings) -> tuple[str, ...]:
    # The versions back to which a release can emulate: https://kubernetes.io/docs/concepts/cluster-administration/compatibility-version
    return (f"--emulated-version={settings.emulate}",) if settings.emulate else ()


def _audit(settings: Settings) -> tuple[str, ...]:
    policy = settings.state / "audit-policy.yaml"
    policy.write_text(_AUDIT_POLICY, encoding="utf-8")
    return (f"--audit-policy-file={policy}", f"--audit-log-path={settings.logs / 'audit.log'}")


def _api_ready(kubeconfig: Path) -> Check:
    async def check() -> bool:
        async with Api(kubeconfig) as api:
            return await api.ready()

    return check
