"""Refuses features that the node does not support, with the reason in the container's waiting state."""

from typing import Final

from localcluster.api import Manifest
from localcluster.node.errors import ContainerError
from localcluster.node.probes import Probe

_PROBES: Final = ("startupProbe", "livenessProbe", "readinessProbe")
_HOOKS: Final = {"exec", "sleep"}


def refuse_unknown(pod: Manifest, container: Manifest) -> None:
    """Check that the node supports every feature that affects a container's behaviour.

    Raises:
        ContainerError: It does not support one of them.
    """
    for name in _PROBES:
        Probe.parse(container, name)
    lifecycle = container.get("lifecycle") or {}
    if "postStart" in lifecycle or not (lifecycle.get("preStop") or {}).keys() <= _HOOKS:
        raise _not_offered("lifecycle hooks other than preStop by exec or sleep")
    if container.get("restartPolicy"):
        raise _not_offered("sidecars: containers with a restartPolicy of their own")
    # Every pod has its service account's token as a projected volume; the node ignores it.
    projected = {volume["name"] for volume in pod["spec"].get("volumes") or [] if "projected" in volume}
    mounts = [mount["name"] for mount in container.get("volumeMounts") or [] if mount["name"] not in projected]
    if mounts:
        raise _not_offered(f"volumes, here {', '.join(mounts)}: pass their content by env")


def _not_offered(what: str) -> ContainerError:
    return ContainerError("CreateContainerConfigError", f"the local node does not offer {what}")
