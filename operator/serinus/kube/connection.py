"""Address and credentials of the API server, for Serinus' own client and for kopf's."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes.aio.client import Configuration
from kubernetes.aio.config import (
    KUBE_CONFIG_DEFAULT_LOCATION,
    ConfigException,
    load_incluster_config,
    load_kube_config,
)
from yaml import YAMLError

from serinus.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Address and credentials of the API server; ``scheme`` and ``token`` are parts of the Authorization header."""

    server: str
    ca_path: str | None
    insecure: bool
    certificate_path: str | None
    private_key_path: str | None
    scheme: str | None
    token: str | None


async def load_configuration(kubeconfig: Path | None) -> Any:  # noqa: ANN401 - the client library is untyped
    """Read the given kubeconfig, else KUBECONFIG or ``~/.kube/config``, else the pod's service account.

    A kubeconfig takes precedence, as with kubectl: whoever sets one inside a pod does so on purpose.

    Raises:
        ConfigurationError: none of these exists, or it cannot be read.
    """
    configuration = Configuration()
    try:
        if kubeconfig is not None or any(map(os.path.exists, KUBE_CONFIG_DEFAULT_LOCATION.split(os.pathsep))):
            file = str(kubeconfig) if kubeconfig is not None else None
            await load_kube_config(config_file=file, client_configuration=configuration, persist_config=False)
        else:
            load_incluster_config(client_configuration=configuration)
    except (ConfigException, OSError) as problem:
        raise ConfigurationError(f"no usable Kubernetes configuration ({problem}): set KUBECONFIG") from problem
    except (YAMLError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as problem:
        # The client library reads a kubeconfig without checking it.
        names = kubeconfig if kubeconfig is not None else KUBE_CONFIG_DEFAULT_LOCATION
        told = " ".join(str(problem).split())
        raise ConfigurationError(
            f"{names} is not a kubeconfig ({type(problem).__name__}: {told}): set KUBECONFIG"
        ) from problem
    return configuration


def user_configuration(token: str, ca_path: Path) -> Any:  # noqa: ANN401 - the client library is untyped
    """Return the configuration by which a pod asks its own API server with a user's token instead of its own.

    Args:
        token: of the user.
        ca_path: the certificates that the API server's is checked against.

    Raises:
        ConfigurationError: this is not a pod: the address of the API server is not in the environment.
    """
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    if not host or not port:
        raise ConfigurationError("KUBERNETES_SERVICE_HOST and _PORT are not set: --in-cluster is for a pod")
    configuration = Configuration()
    configuration.host = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    configuration.ssl_ca_cert = str(ca_path)
    configuration.api_key = {"BearerToken": token}
    configuration.api_key_prefix = {"BearerToken": "Bearer"}
    return configuration


async def read_connection(kubeconfig: Path | None) -> Connection:
    """Return the address with the current credentials; raises as :func:`load_configuration`."""
    configuration = await load_configuration(kubeconfig)
    header = (await configuration.auth_settings()).get("BearerToken", {}).get("value") or ""
    scheme, _, token = header.strip().partition(" ")
    return Connection(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        scheme=scheme or None,
        token=token.strip() or None,
    )
