"""A version's stage, derived from the registry's head or from a Rollout's status.

The ModelVersion's status shows it; nothing decides by what is shown there.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from serinus.api.model import Head
from serinus.api.modelversion import VersionStage
from serinus.api.rollout_status import RolloutStatus

_NO_TRAFFIC: Final = frozenset({"", "0%"})


class VersionPlacement(NamedTuple):
    """A version's stage and its share of the traffic, such as ``5%``, as ``kubectl get mv`` shows them.

    ``stage`` is None where nothing has been published yet; ``traffic`` is empty where the version has no role.
    """

    stage: VersionStage | None
    traffic: str

    @classmethod
    def parse(cls, stage: str, traffic: str) -> Self:
        """Return the placement that a ModelVersion's status shows; an unknown stage counts as none."""
        return cls(next((known for known in VersionStage if known.value == stage), None), traffic)


# A version that was tried shows the same as one that never was: whether its trial had been published, before the
# operator was killed or the next version came, must not show for ever.
_AFTER_REMOVAL: Final = {
    VersionStage.STAGING: VersionPlacement(VersionStage.REGISTERED, ""),
    VersionStage.CANARY: VersionPlacement(VersionStage.REGISTERED, ""),
    VersionStage.PRODUCTION: VersionPlacement(VersionStage.SUPERSEDED, "0%"),
}
"""The next placement of a version that the Rollout's status no longer names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Roles:
    """Which version has which role; a version with several has the stage of the first, in this order."""

    production: str
    canary: str = ""
    staging: str = ""
    rolled_back: Collection[str] = ()
    superseded: Collection[str] = ()

    def stage_of(self, version: str) -> VersionStage:
        if version == self.production:
            return VersionStage.PRODUCTION
        if version == self.canary:
            return VersionStage.CANARY
        if version == self.staging:
            return VersionStage.STAGING
        if version in self.rolled_back:
            return VersionStage.ROLLED_BACK
        return VersionStage.SUPERSEDED if version in self.superseded else VersionStage.REGISTERED


def version_stage(head: Head, version: str) -> VersionStage:
    """Return a version's stage by the registry's head."""
    candidate = head.candidate
    on_trial = candidate.version if candidate is not None else ""
    receives_traffic = candidate is not None and candidate.traffic not in _NO_TRAFFIC
    roles = _Roles(
        production=head.production.version if head.production is not None else "",
        canary=on_trial if receives_traffic else "",
        staging="" if receives_traffic else on_trial,
        rolled_back=head.quarantined,
        superseded=head.good,
    )
    return roles.stage_of(version)


def placements(status: RolloutStatus) -> Mapping[str, VersionPlacement]:
    """Return the placement of every version that a Rollout's status names."""
    candidate = status.candidate
    weight = candidate.weight if candidate is not None else 0
    shares = dict.fromkeys((*_last_known_good(status), *status.quarantined), "0%")
    if candidate is not None:
        shares[candidate.version] = f"{weight:g}%"
    if status.stable is not None:
        shares[status.stable.version] = f"{100 - weight:g}%"
    roles = _roles(status)
    return {version: VersionPlacement(roles.stage_of(version), share) for version, share in shares.items()}


def _roles(status: RolloutStatus) -> _Roles:
    on_trial = status.candidate.version if status.candidate is not None else ""
    receives_traffic = status.candidate is not None and status.candidate.weight > 0
    rolling_back = status.rollback is not None
    return _Roles(
        production=status.stable.version if status.stable is not None else "",
        canary=on_trial if receives_traffic and not rolling_back else "",
        staging=on_trial if not receives_traffic and not rolling_back else "",
        rolled_back=(*status.quarantined, on_trial) if rolling_back else status.quarantined,
        superseded=_last_known_good(status),
    )


def _last_known_good(status: RolloutStatus) -> tuple[str, ...]:
    return (status.last_known_good,) if status.last_known_good is not None else ()


def next_placement(status: RolloutStatus, version: str, published: VersionPlacement) -> VersionPlacement:
    """Return the placement to publish for a version, given the one published last.

    A version that the status does not name has no traffic, unless the production version is not known yet.
    """
    placement = placements(status).get(version)
    if placement is not None:
        return placement
    if status.stable is None or published.stage not in _AFTER_REMOVAL:
        return published
    return _AFTER_REMOVAL[published.stage]
