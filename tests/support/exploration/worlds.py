"""Several small worlds: each has a few kinds of event in full, so that every state of it can be visited."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.observation import RouteEntry
from support.builders import a_key, a_spec, a_stage
from support.exploration import facts
from support.exploration.machine import Machine, State

Status = RolloutStatus

STAGING: Final = a_stage("staging", "0%")
TESTED: Final = {**STAGING, "tests": [{"name": "answers", "http": {"path": "/"}}]}
CANARY: Final = a_stage("canary", "5%", duration="31s", maxDuration="62s")
ROLLS: Final = {**CANARY, "onTimeout": "Rollback"}
PRODUCTION: Final = a_stage("production", "100%", bake="31s", maxDuration="10m")
GATED: Final = {**PRODUCTION, "approval": "Required"}


@dataclass(frozen=True)
class SmallWorld:
    """A world with few kinds of event.

    Attributes:
        moves: what can happen besides the operator's own decisions.
        specs: what can be wanted; the first one is at the beginning.
        entries: the rule at the beginning.
        versions: how many of the three versions there are.
    """

    name: str
    moves: tuple[str, ...]
    specs: Callable[[], tuple[RolloutSpec, ...]]
    entries: tuple[tuple[str, int], ...] = (("1.0.0", 1),)
    versions: int = 2
    served: frozenset[str] = frozenset()
    crashes: bool = False

    def machine(self) -> Machine:
        return Machine(self.specs(), self.versions, self.served, crashes=self.crashes)

    def starts(self, machine: Machine) -> Iterator[State]:
        rule = tuple(
            RouteEntry(a_key(name) if name in facts.VERSIONS else facts.FOREIGN, weight)
            for name, weight in self.entries
        )
        yield machine.start(Status(), rule)


def _moves(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.replace("\n", " ").split(";") if part.strip())


WORLDS: Final = (
    SmallWorld(
        "metrics",
        _moves("""restart; the gateway accepts; the gateway refuses; it is good; it is bad; no traffic;
            Prometheus is down; the answers are late; the answers are partial; the gateway ignores the weights;
            31 s pass; the clock steps back; the test passes; the test fails; abort; promote"""),
        lambda: (a_spec("2.0.0", TESTED, ROLLS, GATED),),
        crashes=True,
    ),
    SmallWorld(
        "people",
        _moves("""the gateway accepts; it is good; it is bad; 31 s pass; abort; abort is withdrawn; pause;
            pause is withdrawn; resume; resume is withdrawn; promote; promote is withdrawn; retry; retry is withdrawn;
            rollback; rollback to 1.0.0; rollback to 2.0.0; rollback is withdrawn; frozen; thawed"""),
        lambda: (a_spec("2.0.0", STAGING, CANARY, GATED),),
    ),
    SmallWorld(
        "objects",
        _moves("""restart; the gateway accepts; it is good; it is bad; 31 s pass; abort;
            1.0.0 is well; 1.0.0 has no endpoints; 1.0.0 is deleted; 1.0.0 is yanked; 1.0.0 loses its Service;
            2.0.0 is well; 2.0.0 has no endpoints; 2.0.0 is deleted; 2.0.0 is yanked; 2.0.0 is replaced;
            2.0.0 loses its Service; 2.0.0 has other bytes; 2.0.0 is checked again"""),
        lambda: (a_spec("2.0.0", STAGING, CANARY, PRODUCTION),),
        crashes=True,
    ),
    SmallWorld(
        "route",
        _moves("""restart; the gateway accepts; the gateway cannot resolve a backend; it is good; it is bad; 31 s pass;
            abort; somebody gives 2.0.0 weight; somebody removes 2.0.0's entry; somebody removes 1.0.0's entry;
            somebody adds a stranger; somebody removes the stranger; Git puts 1.0.0 back alone; the route is deleted;
            another controller owns the route; the route is created again; 2.0.0 is deleted; 2.0.0 is well"""),
        lambda: (a_spec("2.0.0", STAGING, CANARY, PRODUCTION),),
        crashes=True,
    ),
    SmallWorld(
        "wishes",
        _moves("""the gateway accepts; it is good; it is bad; 31 s pass; spec 0; spec 1; spec 2; spec 3; spec 4;
            the spec cannot be read; the spec can be read again; restart; abort; retry; 1.0.0 has no endpoints;
            1.0.0 is well"""),
        lambda: (
            a_spec("2.0.0", STAGING, CANARY, PRODUCTION),
            a_spec("3.0.0", STAGING, CANARY, PRODUCTION),
            a_spec("1.0.0", STAGING, CANARY, PRODUCTION),
            a_spec("3.0.0", STAGING, CANARY, PRODUCTION, rollbackTo="2.0.0"),
            a_spec("2.0.0", STAGING, a_stage("one", "1%", duration="31s"), PRODUCTION, rollbackTo="1.0.0"),
        ),
        versions=3,
    ),
    SmallWorld(
        "deletion",
        _moves("""restart; the gateway accepts; it is good; it is bad; 31 s pass; abort; the Rollout is deleted;
            the namespace is deleted; the Rollout is created again; the registry is down; the registry is back;
            records pile up; the status cannot be read; the status can be read again; an older release wrote the status;
            2.0.0 is deleted; 2.0.0 is well; a rival keeps the route; the rival is gone; the route is deleted;
            the route is created again"""),
        lambda: (a_spec("2.0.0", STAGING, CANARY, PRODUCTION),),
        crashes=True,
    ),
    SmallWorld(
        "first version",
        _moves("""restart; the gateway accepts; it is good; it is bad; 31 s pass; abort; retry; rollback to 1.0.0;
            2.0.0 has no endpoints; 2.0.0 is well; 2.0.0 is deleted; 1.0.0 is well; 1.0.0 has no endpoints; spec 0;
            spec 1; somebody adds a stranger; somebody removes the stranger; the Rollout is deleted;
            the Rollout is created again"""),
        lambda: (a_spec("2.0.0", STAGING, CANARY, PRODUCTION), a_spec("1.0.0", STAGING, CANARY, PRODUCTION)),
        entries=(),
    ),
    SmallWorld(
        "watch gaps",
        _moves("""restart; watch events stop; watch events come again; the gateway accepts; it is good; it is bad;
            31 s pass; abort; abort is withdrawn; 2.0.0 is deleted; 2.0.0 is well; 1.0.0 has no endpoints;
            1.0.0 is well; somebody gives 2.0.0 weight; Git puts 1.0.0 back alone; spec 0; spec 1; frozen; thawed"""),
        lambda: (
            a_spec("2.0.0", STAGING, CANARY, PRODUCTION),
            a_spec("1.0.0", STAGING, CANARY, PRODUCTION),
        ),
        crashes=True,
    ),
    SmallWorld(
        "foreign backend",
        _moves("""restart; the gateway accepts; it is good; it is bad; 31 s pass; abort; rollback; retry;
            somebody gives 2.0.0 weight; somebody removes 1.0.0's entry; somebody adds a stranger;
            somebody removes the stranger; 1.0.0 has no endpoints; 1.0.0 is well; 1.0.0 is deleted;
            the gateway cannot resolve a backend; the Rollout is deleted; the Rollout is created again"""),
        lambda: (a_spec("2.0.0", STAGING, CANARY, PRODUCTION),),
        entries=(("1.0.0", 8000), ("foreign", 2000)),
        crashes=True,
    ),
    SmallWorld(
        "the stable version",
        _moves("""the gateway accepts; it is good; it is bad; 31 s pass; abort; rollback; rollback is withdrawn;
            1.0.0 is well; 1.0.0 has no endpoints; 1.0.0 has other bytes; 1.0.0 is checked again; 1.0.0 is replaced;
            1.0.0 is deleted and scaled to zero; 2.0.0 is deleted and scaled to zero; 2.0.0 is well;
            somebody empties the rule; somebody gives 1.0.0 weight; Git puts 1.0.0 back alone"""),
        lambda: (a_spec("2.0.0", STAGING, CANARY, PRODUCTION),),
    ),
)
"""Every event of the laws' preamble is a move of at least one of them."""
