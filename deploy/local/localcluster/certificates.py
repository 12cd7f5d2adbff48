"""The cluster's CA and a certificate for each server and user, created by openssl and deleted with the state."""

import base64
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localcluster.addresses import API_URL, GATEWAY, KUBERNETES_SERVICE, LOOPBACK, NODE
from localcluster.errors import LocalClusterError
from localcluster.settings import Settings

_DAYS: Final = "30"
_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_SERVER_NAMES: Final = (
    f"IP:{NODE},IP:{GATEWAY},IP:{LOOPBACK},IP:{KUBERNETES_SERVICE},DNS:localhost,DNS:local,"
    "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
)


@dataclass(frozen=True, slots=True)
class User:
    """A user who authenticates by a client certificate."""

    name: str
    groups: tuple[str, ...]
    file: str


USERS: Final = (
    User("admin", ("system:masters",), "admin"),
    User("developer", ("ml-team",), "developer"),
    User("auditor", ("audit-team",), "auditor"),
    User("system:kube-controller-manager", (), "controller-manager"),
    User("localcluster:node", ("system:masters",), "node"),
    User("localcluster:contour", ("system:masters",), "contour"),
)


@dataclass(frozen=True, slots=True)
class Authority:
    """The folder with the CA's certificate and all certificates that it signed."""

    folder: Path

    def certificate(self, name: str) -> Path:
        """Return the path of a certificate."""
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Return the path of its private key."""
        return self.folder / f"{name}.key"


def issue(settings: Settings) -> Authority:
    """Create the CA, the certificates and a kubeconfig for each user.

    Raises:
        LocalClusterError: openssl is missing or failed.
    """
    authority = Authority(settings.state / "pki")
    authority.folder.mkdir(mode=0o700, parents=True)
    _openssl("req", "-x509", *_KEY, *_files(authority, "ca"), "-days", _DAYS, "-subj", "/CN=serinus-local")
    _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(authority.key("tokens")))
    _sign(authority, "server", "/CN=kube-apiserver", f"subjectAltName={_SERVER_NAMES}")
    _sign(
        authority, "kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client", "extendedKeyUsage=clientAuth"
    )
    settings.kubeconfig().parent.mkdir()
    for user in USERS:
        organizations = "".join(f"/O={group}" for group in user.groups)
        _sign(authority, user.file, f"{organizations}/CN={user.name}", "extendedKeyUsage=clientAuth")
        settings.kubeconfig(user.file).write_text(_kubeconfig(authority, user), encoding="utf-8")
    return authority


def _sign(authority: Authority, name: str, subject: str, extension: str) -> None:
    signer = ("-CA", str(authority.certificate("ca")), "-CAkey", str(authority.key("ca")))
    leaf = ("-addext", "basicConstraints=critical,CA:FALSE", "-addext", extension)
    _openssl("req", "-x509", *_KEY, *_files(authority, name), "-days", _DAYS, "-subj", subject, *signer, *leaf)


def _files(authority: Authority, name: str) -> tuple[str, ...]:
    return ("-keyout", str(authority.key(name)), "-out", str(authority.certificate(name)))


def _openssl(*arguments: str) -> None:
    try:
        result = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise LocalClusterError("openssl is not on PATH: install the package openssl, version 3 or newer") from error
    if result.returncode:
        raise LocalClusterError(f"`openssl {' '.join(arguments)}` failed:\n{result.stderr.strip()}")


def _kubeconfig(authority: Authority, user: User) -> str:
    def content(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    cluster = {"server": API_URL, "certificate-authority-data": content(authority.certificate("ca"))}
    credentials = {
        "client-certificate-data": content(authority.certificate(user.file)),
        "client-key-data": content(authority.key(user.file)),
    }
    # JSON is valid YAML, so every kubeconfig parser accepts it.
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": cluster}],
            "users": [{"name": user.name, "user": credentials}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": user.name}}],
            "current-context": "local",
        },
        indent=2,
    )
