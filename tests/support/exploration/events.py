"""Everything that others can do, as the preamble of the laws lists it, each with the moves that stand for it.

The list is the contract's (docs/explanation/safety.md); a test holds it against the moves and the worlds.
"""

from enum import StrEnum
from typing import Final

from support.exploration.looks import NEWER
from support.exploration.worlds import SmallWorld

CRASH: Final = "crash after write"
CUT: Final = "no write after write"
"""A write fails and the process goes on: what comes after it in the decision is not done."""


class Happening(StrEnum):
    """An event of the laws' preamble."""

    MODEL_VERSION_DELETED = "a ModelVersion is deleted"
    MODEL_VERSION_REPLACED = "a ModelVersion is replaced"
    MODEL_VERSION_CREATED = "a ModelVersion is created again"
    SERVICE_DELETED = "a Service is deleted"
    ENDPOINTS_LOST = "a Service has no ready endpoints"
    ENDPOINTS_BACK = "it has some again"
    ROUTE_DELETED = "the route is deleted"
    ROUTE_REPLACED = "the route belongs to another controller"
    ROUTE_CREATED = "the route is created again, as in Git or as in a backup"
    RULE_DELETED = "the rule is deleted"
    RULE_CREATED = "the rule is created again"
    RULE_EDITED = "somebody edits the rule's backends and weights"
    ROLLOUT_DELETED = "the Rollout is deleted, also with its namespace"
    ROLLOUT_CREATED = "the Rollout is created again"
    RIVAL = "a rival Rollout keeps the route"
    RIVAL_GONE = "the rival goes"
    FROZEN = "the namespace is frozen"
    THAWED = "the freeze is taken away"
    ACCEPTED = "the gateway accepts the route; where this move does not come it never does"
    REFUSED = "the gateway refuses the route"
    UNRESOLVED = "ResolvedRefs is False"
    COMMAND = "any command, also twice"
    COMMAND_WITHDRAWN = "its annotation is taken away"
    ANY_TARGET = "a rollback to any version: the stable one, the one on trial, one that does not exist"
    YANKED = "a version is yanked"
    BARRED = "a version is barred: its schema, its bytes, or while it is being checked"
    QUARANTINED = "a version is rolled back, and may start again"
    VERSION_CHANGED = "the spec wants another version"
    STAGES_CHANGED = "the spec's stages are renamed, added, in another order, with other shares"
    ROUTE_CHANGED = "the spec names another route, and the first one again"
    ROLLBACK_TO_CHANGED = "spec.rollbackTo changes"
    SPEC_UNREADABLE = "the spec cannot be read"
    SPEC_READABLE = "the spec can be read again"
    STATUS_UNREADABLE = "the status cannot be read"
    STATUS_READABLE = "the status can be read again"
    OLDER_RELEASE = "an older release writes the status"
    NEWER_RELEASE = "a newer release writes the status"
    CLOCK_BACK = "the clock is stepped back"
    CLOCK_FORWARD = "the clock is stepped forward"
    TIME = "time passes"
    ANSWERED = "Prometheus answers in full"
    ANSWERED_PARTLY = "it answers partly, or of no requests"
    ANSWERED_LATE = "its answers are old"
    NEVER_ANSWERED = "it does not answer; before the first measurement nothing is known either"
    WEIGHTS_IGNORED = "the gateway does not honour the weights"
    TEST_ENDS = "an integration test ends"
    REGISTRY = "the registry goes down and comes back"
    CRASH = "the operator crashes after a write"
    WRITE_FAILS = "a write fails and the operator goes on"
    RESTART = "the operator is restarted before the first write, or after the last"
    WATCH_GAP = "watch events stop, and come again"


def _of(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.replace("\n", " ").split(";"))


EVENTS: Final[dict[Happening, tuple[str, ...]]] = {
    Happening.MODEL_VERSION_DELETED: _of(
        """1.0.0 is deleted; 2.0.0 is deleted; 3.0.0 is deleted; 1.0.0 is deleted and scaled to zero;
        2.0.0 is deleted and scaled to zero"""
    ),
    Happening.MODEL_VERSION_REPLACED: _of("1.0.0 is replaced; 2.0.0 is replaced"),
    Happening.MODEL_VERSION_CREATED: _of("1.0.0 is well; 2.0.0 is well; 3.0.0 is well"),
    Happening.SERVICE_DELETED: _of("1.0.0 loses its Service; 2.0.0 loses its Service"),
    Happening.ENDPOINTS_LOST: _of("1.0.0 has no endpoints; 2.0.0 has no endpoints; 3.0.0 has no endpoints"),
    Happening.ENDPOINTS_BACK: _of("1.0.0 is well; 2.0.0 is well"),
    Happening.ROUTE_DELETED: _of("the route is deleted; the other route is deleted"),
    Happening.ROUTE_REPLACED: _of("another controller owns the route"),
    Happening.ROUTE_CREATED: _of(
        "the route is created again; the route comes from a backup; the other route is created"
    ),
    Happening.RULE_DELETED: _of("the rule is deleted"),
    Happening.RULE_CREATED: _of("the rule is created again"),
    Happening.RULE_EDITED: _of(
        """somebody gives 1.0.0 weight; somebody gives 2.0.0 weight; somebody removes 1.0.0's entry;
        somebody removes 2.0.0's entry; somebody adds a stranger; somebody removes the stranger;
        Git puts 1.0.0 back alone; somebody empties the rule; somebody names 2.0.0 twice;
        somebody gives 2.0.0 weight on the other route"""
    ),
    Happening.ROLLOUT_DELETED: _of("the Rollout is deleted; the namespace is deleted"),
    Happening.ROLLOUT_CREATED: _of("the Rollout is created again"),
    Happening.RIVAL: _of("a rival keeps the route"),
    Happening.RIVAL_GONE: _of("the rival is gone"),
    Happening.FROZEN: _of("frozen"),
    Happening.THAWED: _of("thawed"),
    Happening.ACCEPTED: _of("the gateway accepts; the gateway accepts the other route"),
    Happening.REFUSED: _of("the gateway refuses"),
    Happening.UNRESOLVED: _of("the gateway cannot resolve a backend"),
    Happening.COMMAND: _of("abort; pause; resume; promote; retry; rollback"),
    Happening.COMMAND_WITHDRAWN: _of(
        """abort is withdrawn; pause is withdrawn; resume is withdrawn; promote is withdrawn; retry is withdrawn;
        rollback is withdrawn"""
    ),
    Happening.ANY_TARGET: _of("rollback to 1.0.0; rollback to 2.0.0; rollback to 3.0.0"),
    Happening.YANKED: _of("1.0.0 is yanked; 2.0.0 is yanked"),
    Happening.BARRED: _of(
        """1.0.0 is barred; 2.0.0 is barred; 1.0.0 has other bytes; 2.0.0 has other bytes; 1.0.0 is checked again;
        2.0.0 is checked again; 1.0.0 has no bytes any more; 2.0.0 has no bytes any more"""
    ),
    Happening.QUARANTINED: _of("it is bad; abort; rollback to 2.0.0; retry"),
    Happening.VERSION_CHANGED: _of("2.0.0 is wanted; 3.0.0 is wanted; 1.0.0 is wanted"),
    Happening.STAGES_CHANGED: _of(
        """stages as they were; stages with one more; stages renamed; stages in another order;
        stages with other shares"""
    ),
    Happening.ROUTE_CHANGED: _of(
        "the first route is wanted; the other route is wanted; 1.0.0 is wanted on the other route"
    ),
    Happening.ROLLBACK_TO_CHANGED: _of("without rollbackTo; rollbackTo 1.0.0; rollbackTo 2.0.0"),
    Happening.SPEC_UNREADABLE: _of("the spec cannot be read"),
    Happening.SPEC_READABLE: _of("the spec can be read again"),
    Happening.STATUS_UNREADABLE: _of("the status cannot be read"),
    Happening.STATUS_READABLE: _of("the status can be read again"),
    Happening.OLDER_RELEASE: _of("an older release wrote the status"),
    Happening.NEWER_RELEASE: (NEWER,),
    Happening.CLOCK_BACK: _of("the clock steps back"),
    Happening.CLOCK_FORWARD: _of("the clock steps forward"),
    Happening.TIME: _of("31 s pass"),
    Happening.ANSWERED: _of("it is good; it is bad"),
    Happening.ANSWERED_PARTLY: _of("the answers are partial; no traffic"),
    Happening.ANSWERED_LATE: _of("the answers are late"),
    Happening.NEVER_ANSWERED: _of("Prometheus is down"),
    Happening.WEIGHTS_IGNORED: _of("the gateway ignores the weights"),
    Happening.TEST_ENDS: _of("the test passes; the test fails"),
    Happening.REGISTRY: _of("the registry is down; the registry is back; records pile up"),
    Happening.CRASH: (CRASH,),
    Happening.WRITE_FAILS: (CUT,),
    Happening.RESTART: _of("restart"),
    Happening.WATCH_GAP: _of("watch events stop; watch events come again"),
}


def moves_of(world: SmallWorld) -> frozenset[str]:
    """Return everything that happens in a world beside the operator's own decisions."""
    crashes = (CRASH, CUT) if world.crashes else ()
    wishes = tuple(world.specs()) if len(world.specs()) > 1 else ()
    return frozenset((*world.moves, *wishes, *crashes, *((NEWER,) if world.newer else ())))
