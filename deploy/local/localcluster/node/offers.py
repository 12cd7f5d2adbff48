"""What the node does not offer, refused by name: a container that waits says why."""

from typing import Final

from localcluster.api import Manifest
from localcluster.node.errors import ContainerError
from localcluster.node.probes import Probe

_PROBES: Final = ("startupProbe", "livenessProbe", "readinessProbe")
_HOOKS: Final = {"exec", "sleep"}


def refuse_unknown(pod: Manifest, container: Manifest) -> None:
    """Check that the node offers everything that a container's behaviour depends on.

    Raises:
        ContainerError: It does not.
    """
    for name in _PROBES:
        Probe.parse(container, name)
    lifecycle = container.get("lifecycle") or {}
    if "postStart" in lifecycle or not (lifecycle.get("preStop") or {}).keys() <= _HOOKS:
        raise _not_offered("lifecycle hooks other than preStop by exec or sleep")
    if container.get("restartPolicy"):
        raise _not_offered("sidecars: containers with a restartPolicy of their own")
    # Every pod has the token of its service account as a projected volume; without a mount it is just not there.
    projected = {volume["name"] for volume in pod["spec"].get("volumes") or [] if "projected" in volume}
    mounts = [mount["name"] for mount in container.get("volumeMounts") or [] if mount["name"] not in projected]
    if mounts:
        raise _not_offered(f"volumes, here {', '.join(mounts)}; give what they hold by env")


def _not_offered(what: str) -> ContainerError:
    return ContainerError("CreateContainerConfigError", f"the local node does not offer {what}")
