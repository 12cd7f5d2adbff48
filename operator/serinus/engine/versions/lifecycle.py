"""Where each version stands, derived from the Rollout's status and stored nowhere else."""

from collections.abc import Mapping
from typing import Final

from serinus.api.rollout_status import RolloutStatus

_LEFT: Final = {"Staging": "Registered", "Canary": "Registered", "Production": "Superseded"}
"""What becomes of a version that the status does not name any more."""


def standing_of(status: RolloutStatus, version: str, said: tuple[str, str]) -> tuple[str, str]:
    """Return a version's stage and share of the traffic, given what was ``said`` of it last.

    A version that the status does not name has no traffic, unless nothing is known yet of what serves.
    """
    found = version_stages(status).get(version)
    if found is not None:
        return found
    stage, traffic = said
    if status.stable is None or stage not in _LEFT:
        return stage, traffic
    return _LEFT[stage], "0%"


def version_stages(status: RolloutStatus) -> Mapping[str, tuple[str, str]]:
    """Return, by version, its stage and its share of the traffic, as ``kubectl get mv`` shows them."""
    found: dict[str, tuple[str, str]] = {}
    if status.last_known_good is not None:
        found[status.last_known_good] = ("Superseded", "0%")
    for version in status.quarantined:
        found[version] = ("RolledBack", "0%")
    candidate = status.candidate
    if candidate is not None and status.rollback is None:
        stage = "Canary" if candidate.weight > 0 else "Staging"
        found[candidate.version] = (stage, f"{candidate.weight:g}%")
    elif candidate is not None:
        found[candidate.version] = ("RolledBack", f"{candidate.weight:g}%")
    if status.stable is not None:
        share = 100 - (candidate.weight if candidate is not None else 0)
        found[status.stable.version] = ("Production", f"{share:g}%")
    return found
