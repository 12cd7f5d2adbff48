"""Environment variables and command line of a container, computed as by the kubelet."""

import base64
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from localcluster.addresses import KUBERNETES_SERVICE, NODE
from localcluster.api import Api, ApiError, Manifest
from localcluster.node.errors import ContainerError
from localcluster.node.images import Image

_REFERENCE: Final = re.compile(r"\$\$|\$\(([A-Za-z_.-][\w.-]*)\)")
_SUBSCRIPT: Final = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_NOT_FOUND: Final = 404


async def build_environment(api: Api, pod: Manifest, container: Manifest, image: Image, address: str) -> dict[str, str]:
    """Return all environment variables of a container.

    Raises:
        ContainerError: A variable refers to something that does not exist or that the node does not support.
    """
    values = _base(pod, address) | image.environment
    for source in container.get("envFrom") or []:
        values |= await _all_of(api, pod, source)
    for variable in container.get("env") or []:
        if "valueFrom" in variable:
            value = await _value_from(api, pod, variable["valueFrom"], address)
        else:
            value = expand(variable.get("value", ""), values)
        if value is not None:
            values[variable["name"]] = value
    return values


def build_command(container: Manifest, image: Image, environment: Mapping[str, str]) -> list[str]:
    """Return the command line of a container.

    Raises:
        ContainerError: Neither the container nor its image has a command.
    """
    entrypoint = container.get("command") or list(image.entrypoint)
    # As with real images, the container's command also replaces the image's arguments.
    default_arguments = [] if container.get("command") else list(image.arguments)
    arguments = container.get("args") or default_arguments
    command = [expand(word, environment) for word in [*entrypoint, *arguments]]
    if not command:
        raise ContainerError(
            "CreateContainerError", f"container {container['name']} has no command, and neither has its image"
        )
    return command


def expand(text: str, values: Mapping[str, str]) -> str:
    """Expand $(NAME); $$ is a dollar sign, and unknown names stay as they are."""

    def replace(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else values.get(match[1], match[0])

    return _REFERENCE.sub(replace, text)


def _base(pod: Manifest, address: str) -> dict[str, str]:
    programs = Path(sys.executable).parent
    return {
        "PATH": f"{programs}:{os.environ.get('PATH', os.defpath)}",
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "HOSTNAME": pod["metadata"]["name"],
        "KUBERNETES_SERVICE_HOST": KUBERNETES_SERVICE,
        "KUBERNETES_SERVICE_PORT": "443",
        "POD_NAME": pod["metadata"]["name"],
        "POD_NAMESPACE": pod["metadata"]["namespace"],
        "POD_IP": address,
    }


async def _all_of(api: Api, pod: Manifest, source: Manifest) -> dict[str, str]:
    prefix = source.get("prefix", "")
    for field, plural in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
        if field in source:
            data = await _data(api, pod, plural, source[field])
            return {f"{prefix}{name}": value for name, value in (data or {}).items()}
    raise ContainerError("CreateContainerConfigError", f"the local node does not offer envFrom {', '.join(source)}")


async def _value_from(api: Api, pod: Manifest, source: Manifest, address: str) -> str | None:
    if "fieldRef" in source:
        return _field(pod, source["fieldRef"]["fieldPath"], address)
    for field, plural in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
        if field in source:
            reference = source[field]
            data = await _data(api, pod, plural, reference)
            if data is not None and reference["key"] in data:
                return data[reference["key"]]
            if reference.get("optional"):
                return None
            raise ContainerError(
                "CreateContainerConfigError", f"couldn't find key {reference['key']} in {plural} {reference['name']}"
            )
    raise ContainerError("CreateContainerConfigError", f"the local node does not offer valueFrom {', '.join(source)}")


def _field(pod: Manifest, path: str, address: str) -> str:
    metadata, spec = pod["metadata"], pod["spec"]
    known = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.podIP": address,
        "status.podIPs": address,
        "status.hostIP": NODE,
        "status.hostIPs": NODE,
    }
    if path in known:
        return str(known[path])
    if match := _SUBSCRIPT.fullmatch(path):
        return str((metadata.get(match[1]) or {}).get(match[2], ""))
    raise ContainerError("CreateContainerConfigError", f"the local node does not offer the field {path}")


async def _data(api: Api, pod: Manifest, plural: str, reference: Manifest) -> dict[str, str] | None:
    path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/{plural}/{reference['name']}"
    try:
        manifest = await api.request("GET", path)
    except ApiError as error:
        if error.status == _NOT_FOUND and reference.get("optional"):
            return None
        raise ContainerError("CreateContainerConfigError", str(error)) from error
    data: dict[str, str] = manifest.get("data") or {}
    if plural == "secrets":
        return {name: base64.b64decode(value).decode() for name, value in data.items()}
    return data
