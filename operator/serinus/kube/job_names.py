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
    parts = (owner.key.name, str(identity.run), identity.stage, identity.test)
    digest = sha256("\0".join((owner.uid, *parts)).encode()).hexdigest()[:_DIGITS]
    readable = "-".join(parts).replace(".", "-")[: _MAX_NAME - _DIGITS - 1].rstrip("-")
    return f"{readable}-{digest}"
