"""Names of test Jobs, derived from the test, so that a repeated request does not start a second Job."""

from hashlib import sha256
from typing import Final

from serinus.engine.rollout.actions import TestRun
from serinus.ports.cluster_state import Meta

_MAX_NAME: Final = 63
_DIGITS: Final = 10


def job_name(owner: Meta, identity: TestRun) -> str:
    """Return the name of the Job of this test, at most 63 characters.

    The hash covers the Rollout's uid, so that a recreated Rollout never adopts the Jobs of its predecessor, and what
    the test does, so that one that is edited has a Job of its own.
    """
    return name_of_job(owner.key.name, owner.uid, identity.run, identity.stage, identity.test, identity.content)


def name_of_job(  # noqa: PLR0913, PLR0917 - what identifies a Job
    rollout: str, uid: str, run: int, stage: str, test: str, content: str = ""
) -> str:
    """Return the name of the Job of this test of a Rollout, given by its name and uid; see :func:`job_name`.

    Releases that knew no ``content`` made names without it.
    """
    parts = (rollout, str(run), stage, test)
    hashed = (uid, *parts, content) if content else (uid, *parts)
    digest = sha256("\0".join(hashed).encode()).hexdigest()[:_DIGITS]
    readable = "-".join(parts).replace(".", "-")[: _MAX_NAME - _DIGITS - 1].rstrip("-")
    return f"{readable}-{digest}"
