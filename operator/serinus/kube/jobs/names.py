"""Names of test Jobs, derived from the test, so that a repeated request does not start a second Job."""

from hashlib import sha256
from typing import Final

from serinus.engine.rollout.actions import TestRun
from serinus.ports.cluster_state import Meta

_MAX_NAME: Final = 63
_DIGITS: Final = 10


def job_name(owner: Meta, identity: TestRun) -> str:
    """Return the name of the Job of this test, at most 63 characters.

    The hash covers the Rollout's uid, so that a recreated Rollout never adopts the Jobs of its predecessor.
    """
    return name_of_job(owner.key.name, owner.uid, identity.run, identity.stage, identity.test)


def name_of_job(rollout: str, uid: str, run: int, stage: str, test: str) -> str:
    """Return the name of the Job of this test of a Rollout, given by its name and uid; see :func:`job_name`."""
    parts = (rollout, str(run), stage, test)
    digest = sha256("\0".join((uid, *parts)).encode()).hexdigest()[:_DIGITS]
    readable = "-".join(parts).replace(".", "-")[: _MAX_NAME - _DIGITS - 1].rstrip("-")
    return f"{readable}-{digest}"
