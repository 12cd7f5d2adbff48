"""People with just the rights that a RoleBinding gives them, and what the API server has written of them."""

import time
import uuid
from collections.abc import Sequence
from typing import Any, Final

from serinus.api.names import (
    APPROVED_BY_ANNOTATION,
    OVERRIDE_BY_ANNOTATION,
    REASON_BY_ANNOTATION,
    REQUESTED_BY_ANNOTATION,
    SPEC_BY_ANNOTATION,
    UNSAFE_ROLLBACK_ANNOTATION,
    VERSION_AUTHOR_ANNOTATION,
    VERSION_BY_ANNOTATION,
    WAIVER_ANNOTATION,
    WORSE_METRICS_ANNOTATION,
    YANKED_ANNOTATION,
    Command,
    issuer_annotation,
)
from support.kubectl import Kubectl
from support.release import Right, allowed

STAMPS: Final = (REQUESTED_BY_ANNOTATION, SPEC_BY_ANNOTATION, APPROVED_BY_ANNOTATION)
ISSUED: Final = (
    *(command.annotation for command in Command if command is not Command.PROMOTE),
    *(WAIVER_ANNOTATION, UNSAFE_ROLLBACK_ANNOTATION, WORSE_METRICS_ANNOTATION, YANKED_ANNOTATION),
)
"""The annotations of which each is stamped with who wrote it."""

EVERY_STAMP: Final = (
    *STAMPS,
    *(VERSION_BY_ANNOTATION, VERSION_AUTHOR_ANNOTATION, REASON_BY_ANNOTATION, OVERRIDE_BY_ANNOTATION),
    *map(issuer_annotation, ISSUED),
)
_PATIENCE: Final = 120.0
_PAUSE: Final = 0.2


def stamps(stored: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Return who is stamped into an object: who asked last, who wrote the spec, who approved."""
    annotations = stored["metadata"].get("annotations", {})
    asked, wrote, approved = (annotations.get(stamp) for stamp in STAMPS)
    return asked, wrote, approved


def person(admin: Kubectl, name: str, *roles: str) -> Kubectl:
    """Return a user who has these ClusterRoles in the namespace and nothing else."""
    for role in roles:
        binding = f"{name}-{uuid.uuid4().hex[:8]}"
        admin("create", "rolebinding", binding, f"--clusterrole={role}", f"--user={name}")
    return admin.impersonating(name)


def until_allowed(admin: Kubectl, user: str, rights: Sequence[Right]) -> None:
    """Wait until a user has all of these rights: the cluster's own roles take ours in a moment after they are there.

    Raises:
        AssertionError: it did not come so.
    """
    deadline = time.monotonic() + _PATIENCE
    while (found := allowed(admin, user, (), rights, admin.namespace)) != list(rights):
        missing = [str(right) for right in rights if right not in found]
        assert time.monotonic() < deadline, f"{user} still may not {', '.join(missing)}"
        time.sleep(_PAUSE)


def until_refused(person: Kubectl, *arguments: str, given: object, words: str) -> str:
    """Do it again until it is refused with these words, which are returned: policies bite a moment later.

    Raises:
        AssertionError: it was not refused so.
    """
    deadline = time.monotonic() + _PATIENCE
    while words not in (said := person.run(arguments, given).stderr):
        assert time.monotonic() < deadline, f"kubectl {' '.join(arguments)} is not refused with {words!r}: {said}"
        time.sleep(_PAUSE)
    return said


def until_accepted(person: Kubectl, *arguments: str, given: object) -> None:
    """Do it again until it is accepted: a policy that is gone bites for a moment longer.

    Raises:
        AssertionError: it was not accepted.
    """
    deadline = time.monotonic() + _PATIENCE
    while (done := person.run(arguments, given)).returncode:
        assert time.monotonic() < deadline, f"kubectl {' '.join(arguments)} is still refused: {done.stderr}"
        time.sleep(_PAUSE)
