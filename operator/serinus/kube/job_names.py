"""The names of test Jobs: made from what they test, so that asking twice starts one Job."""

from hashlib import sha256
from typing import Final

from serinus.engine.rollout.actions import TestRun
from serinus.ports.cluster_state import Meta

_LONGEST: Final = 63
_DIGITS: Final = 10


def job_name(owner: Meta, identity: TestRun) -> str:
    """Return the name of the Job of this test, at most 63 characters.

    The hash covers the Rollout's uid, so that a Rollout made anew never finds the Jobs of the one before it.
    """
    words = (owner.key.name, str(identity.run), identity.stage, identity.test)
    digest = sha256("\0".join((owner.uid, *words)).encode()).hexdigest()[:_DIGITS]
    readable = "-".join(words).replace(".", "-")[: _LONGEST - _DIGITS - 1].rstrip("-")
    return f"{readable}-{digest}"
