"""Where each version stands, derived from the Rollout's status and stored nowhere else."""

from collections.abc import Mapping

from serinus.api.rollout_status import RolloutStatus


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
