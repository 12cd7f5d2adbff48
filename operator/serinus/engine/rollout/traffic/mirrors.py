"""Copies of requests for the version on trial: in which stage it gets them, and what the rule should mirror."""

from serinus.api.rollout import Stage, share_of_copies
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.analysis.share import RequestShare
from serinus.engine.rollout.modes import Running, mode_of
from serinus.engine.rollout.observation import Observation
from serinus.engine.rollout.traffic.facts import Mirror, backend_key
from serinus.engine.rollout.waiting import Waiting, WaitReason


def mirror_in(stage: Stage, status: RolloutStatus) -> float | None:
    """Return of which percentage of the requests a stage gives copies: of none while no version serves."""
    return stage.mirror.parts / 100 if stage.mirror is not None and status.stable is not None else None


def is_called(stage: Stage, status: RolloutStatus) -> bool:
    """Return whether a version gets requests in a stage, so that it is judged by them.

    The first version of a model has nothing to be mirrored: it passes such a stage by its tests.
    """
    return stage.mirror is None or status.stable is not None


def mirrors_of(status: RolloutStatus, observed: Observation) -> tuple[Mirror, ...]:
    """Return what should get copies of the rule's requests, as this status says: the version on trial, or nothing.

    A backend whose Service does not exist gets none: it would spoil the route's ``ResolvedRefs``.
    """
    run = mode_of(status)
    if not isinstance(run, Running) or run.candidate.mirror is None or run.candidate.backend is None:
        return ()
    key = backend_key(run.candidate.backend)
    return () if key in observed.missing else (Mirror(key, round(run.candidate.mirror * 100)),)


def mirror_mismatch(version: str, mirror: float, seen: RequestShare) -> Waiting | None:
    """Return how the observed copies contradict the percentage of a mirror, or None where they do not."""
    if not seen.contradicts(share_of_copies(mirror / 100)):
        return None
    served = seen.total - seen.candidate
    copied = f"of about {100 * seen.candidate / served:.0f}%" if served > 0 else "although nothing else is called"
    return Waiting(
        WaitReason.TRAFFIC_SHARE_MISMATCH,
        f"{version} should get copies of {mirror:g}% of the requests, but gets them {copied}: does the gateway honour "
        "the percentage of a RequestMirror, and does nothing else send requests to this backend? "
        "A gateway that copies all requests needs mirror: 100%.",
    )
