"""Several small worlds: each has a few kinds of event in full, so that every state of it can be visited."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.traffic.facts import RouteEntry
from support.builders import a_key, a_spec, a_stage
from support.exploration import facts
from support.exploration.machine import Machine
from support.exploration.state import State

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
        specs: what can be wanted, by the words for the change to it; the first one is at the beginning.
        entries: the rule at the beginning.
        beside: the rule of the other route at the beginning; without any the other route is not there.
        versions: how many of the three versions there are.
        served: the versions that the registry's head knows to have served.
        crashes: each write of a decision may be the last before a restart.
        newer: a newer release may write the status for a while.
        alike: two versions that differ in nothing but their names.
    """

    name: str
    moves: tuple[str, ...]
    specs: Callable[[], dict[str, RolloutSpec]]
    entries: tuple[tuple[str, int], ...] = (("1.0.0", 1),)
    beside: tuple[tuple[str, int], ...] = ()
    versions: int = 2
    served: frozenset[str] = frozenset()
    crashes: bool = False
    newer: bool = False
    alike: tuple[str, str] | None = None

    def machine(self) -> Machine:
        return Machine(tuple(self.specs().values()), self.versions, self.served, crashes=self.crashes, newer=self.newer)

    def starts(self, machine: Machine) -> Iterator[State]:
        start = machine.start(Status(), _rule(self.entries))
        if self.beside:
            # Written by somebody else: what it serves is not the operator's before a spec names it.
            carried = (machine.route_number(_rule(self.beside)), int(facts.Gate.ACCEPTED), 1)
            start = machine.with_carried(start, carried, beside=True)
        yield start


def _rule(entries: tuple[tuple[str, int], ...]) -> tuple[RouteEntry, ...]:
    return tuple(
        RouteEntry(a_key(name) if name in facts.VERSIONS else facts.FOREIGN, weight) for name, weight in entries
    )


def _moves(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.replace("\n", " ").split(";") if part.strip())


PLAIN: Final = (STAGING, CANARY, PRODUCTION)
TWO_CANARIES: Final = (STAGING, a_stage("one", "1%", duration="31s", maxDuration="62s"), CANARY, PRODUCTION)
REORDERED: Final = (
    STAGING,
    a_stage("canary", "1%", duration="31s", maxDuration="62s"),
    {**CANARY, "name": "one"},
    PRODUCTION,
)
RENAMED: Final = (STAGING, {**CANARY, "name": "five"}, PRODUCTION)
RESHARED: Final = (STAGING, {**PRODUCTION, "name": "canary"})
ELSEWHERE: Final = {"httpRoute": {"name": facts.OTHER_ROUTE, "ruleName": "predict"}}


def _plain() -> dict[str, RolloutSpec]:
    return {"2.0.0 is wanted": a_spec("2.0.0", *PLAIN)}


def _two() -> dict[str, RolloutSpec]:
    return {"2.0.0 is wanted": a_spec("2.0.0", *PLAIN), "1.0.0 is wanted": a_spec("1.0.0", *PLAIN)}


_RUNS: Final = "the gateway accepts; it is good; it is bad; 31 s pass; "
"""What every run needs to go on and to fail."""

WORLDS: Final = (
    SmallWorld(
        "one stage",
        _moves("""the gateway accepts; it is bad; 31 s pass; abort; 1.0.0 has no endpoints; 1.0.0 is well"""),
        lambda: {"2.0.0 is wanted": a_spec("2.0.0", a_stage("production", "100%", bake="31s", maxDuration="62s"))},
    ),
    SmallWorld(
        "two stages",
        _moves(_RUNS + "abort; restart; 2.0.0 is well; 2.0.0 has no endpoints; 2.0.0 is yanked"),
        lambda: {"2.0.0 is wanted": a_spec("2.0.0", CANARY, PRODUCTION)},
        crashes=True,
    ),
    SmallWorld(
        "deleted and created",
        _moves(_RUNS + "the Rollout is deleted; the Rollout is created again"),
        lambda: {"2.0.0 is wanted": a_spec("2.0.0", CANARY, PRODUCTION)},
        crashes=True,
    ),
    SmallWorld(
        "one run",
        _moves("the gateway accepts; it is good; it is bad; 31 s pass"),
        _plain,
        crashes=True,
    ),
    SmallWorld(
        "a fight",
        _moves(
            """the gateway accepts; it is good; 31 s pass; somebody gives 2.0.0 weight; Git puts 1.0.0 back alone"""
        ),
        lambda: {"2.0.0 is wanted": a_spec("2.0.0", CANARY, PRODUCTION)},
    ),
    SmallWorld(
        "metrics",
        _moves("""restart; the gateway accepts; the gateway refuses; it is good; it is bad; no traffic;
            Prometheus is down; the answers are late; the answers are partial; the gateway ignores the weights;
            31 s pass; the clock steps back; the clock steps forward; the test passes; the test fails; abort;
            promote"""),
        lambda: {"2.0.0 is wanted": a_spec("2.0.0", TESTED, ROLLS, GATED)},
        crashes=True,
    ),
    SmallWorld(
        "held time",
        _moves("""the gateway accepts; it is good; it is bad; 31 s pass; the clock steps back; the clock steps forward;
            pause; pause is withdrawn; resume; resume is withdrawn; frozen; thawed; promote; promote is withdrawn"""),
        lambda: {"2.0.0 is wanted": a_spec("2.0.0", STAGING, ROLLS, GATED)},
    ),
    SmallWorld(
        "commands",
        _moves(
            _RUNS
            + """abort; abort is withdrawn; pause; pause is withdrawn; resume; resume is withdrawn;
            promote; promote is withdrawn; retry; retry is withdrawn"""
        ),
        lambda: {"2.0.0 is wanted": a_spec("2.0.0", STAGING, CANARY, GATED)},
    ),
    SmallWorld(
        "rollbacks by hand",
        _moves(
            _RUNS
            + """rollback; rollback to 1.0.0; rollback to 2.0.0; rollback to 3.0.0; rollback is withdrawn;
            abort; abort is withdrawn; retry; retry is withdrawn; 1.0.0 is yanked; 1.0.0 is well; frozen; thawed"""
        ),
        _plain,
    ),
    SmallWorld(
        "the candidate's objects",
        _moves(
            "restart; "
            + _RUNS
            + """2.0.0 is well; 2.0.0 has no endpoints; 2.0.0 is deleted;
            2.0.0 is deleted and scaled to zero; 2.0.0 is yanked; 2.0.0 is replaced; 2.0.0 loses its Service;
            2.0.0 is checked again; 2.0.0 has other bytes; 2.0.0 is barred; 2.0.0 has no bytes any more"""
        ),
        _plain,
        crashes=True,
    ),
    SmallWorld(
        "the stable version's objects",
        _moves(
            "restart; "
            + _RUNS
            + """abort; 1.0.0 is well; 1.0.0 has no endpoints; 1.0.0 is deleted;
            1.0.0 is deleted and scaled to zero; 1.0.0 is yanked; 1.0.0 is replaced; 1.0.0 loses its Service;
            1.0.0 is checked again; 1.0.0 has other bytes; 1.0.0 is barred; 1.0.0 has no bytes any more"""
        ),
        _plain,
        crashes=True,
    ),
    SmallWorld(
        "both versions' objects",
        _moves(
            "restart; "
            + _RUNS
            + """abort; 1.0.0 is well; 1.0.0 has no endpoints; 1.0.0 is deleted; 1.0.0 is yanked;
            1.0.0 loses its Service; 2.0.0 is well; 2.0.0 has no endpoints; 2.0.0 is deleted; 2.0.0 is yanked;
            2.0.0 is replaced; 2.0.0 loses its Service; 2.0.0 has other bytes; 2.0.0 is checked again"""
        ),
        _plain,
        crashes=True,
    ),
    SmallWorld(
        "foreign writes",
        _moves(
            "restart; "
            + _RUNS
            + """abort; somebody gives 2.0.0 weight; somebody removes 2.0.0's entry;
            somebody removes 1.0.0's entry; somebody adds a stranger; somebody removes the stranger;
            Git puts 1.0.0 back alone; 2.0.0 is deleted; 2.0.0 is well"""
        ),
        _plain,
        crashes=True,
    ),
    SmallWorld(
        "route and rule",
        _moves(
            "restart; the gateway cannot resolve a backend; the gateway refuses; "
            + _RUNS
            + """abort;
            the route is deleted; another controller owns the route; the route is created again;
            the route comes from a backup; the rule is deleted; the rule is created again; somebody empties the rule;
            somebody names 2.0.0 twice; 1.0.0 has no endpoints; 1.0.0 is well"""
        ),
        _plain,
        crashes=True,
    ),
    SmallWorld(
        "another route",
        _moves(
            _RUNS
            + """the gateway accepts the other route; abort; restart;
            somebody gives 2.0.0 weight on the other route; the other route is deleted; the other route is created;
            the route is deleted; the route is created again; 1.0.0 has no endpoints; 1.0.0 is well"""
        ),
        lambda: {
            "the first route is wanted": a_spec("2.0.0", *PLAIN),
            "the other route is wanted": a_spec("2.0.0", *PLAIN, route=ELSEWHERE),
            "1.0.0 is wanted on the other route": a_spec("1.0.0", *PLAIN, route=ELSEWHERE),
        },
        beside=(("1.0.0", 1),),
        crashes=True,
    ),
    SmallWorld(
        "another empty route",
        _moves(
            _RUNS
            + """the gateway accepts the other route; abort; the other route is deleted;
            the other route is created; the Rollout is deleted; the Rollout is created again"""
        ),
        lambda: {
            "the first route is wanted": a_spec("2.0.0", *PLAIN),
            "the other route is wanted": a_spec("2.0.0", *PLAIN, route=ELSEWHERE),
        },
    ),
    SmallWorld(
        "two wishes alike",
        _moves(
            _RUNS
            + """abort; retry; 2.0.0 is deleted; 2.0.0 is well; 3.0.0 is deleted;
            3.0.0 is well; 2.0.0 has no endpoints; 3.0.0 has no endpoints"""
        ),
        lambda: {f"{version} is wanted": a_spec(version, *PLAIN) for version in ("2.0.0", "3.0.0", "1.0.0")},
        versions=3,
        alike=("2.0.0", "3.0.0"),
    ),
    SmallWorld(
        "other stages",
        _moves(
            _RUNS
            + """the spec cannot be read; the spec can be read again; restart;
            abort; retry; frozen; thawed"""
        ),
        lambda: {
            "stages as they were": a_spec("2.0.0", *PLAIN),
            "stages with one more": a_spec("2.0.0", *TWO_CANARIES),
            "stages in another order": a_spec("2.0.0", *REORDERED),
            "stages renamed": a_spec("2.0.0", *RENAMED),
            "stages with other shares": a_spec("2.0.0", *RESHARED),
        },
    ),
    SmallWorld(
        "rollbackTo",
        _moves(
            _RUNS
            + """the spec cannot be read; the spec can be read again; restart;
            abort; retry; 1.0.0 has no endpoints; 1.0.0 is well"""
        ),
        lambda: {
            "without rollbackTo": a_spec("2.0.0", *PLAIN),
            "3.0.0 is wanted": a_spec("3.0.0", *PLAIN),
            "rollbackTo 2.0.0": a_spec("3.0.0", *PLAIN, rollbackTo="2.0.0"),
            "rollbackTo 1.0.0": a_spec("2.0.0", *PLAIN, rollbackTo="1.0.0"),
        },
        versions=3,
    ),
    SmallWorld(
        "deletion",
        _moves(
            "restart; "
            + _RUNS
            + """abort; the Rollout is deleted; the namespace is deleted;
            the Rollout is created again; the registry is down; the registry is back; records pile up; 2.0.0 is deleted;
            2.0.0 is well"""
        ),
        _plain,
        crashes=True,
    ),
    SmallWorld(
        "deletion and the route",
        _moves(
            _RUNS
            + """abort; the Rollout is deleted; the Rollout is created again; a rival keeps the route;
            the rival is gone; the route is deleted; the route is created again; somebody gives 2.0.0 weight"""
        ),
        _plain,
        crashes=True,
    ),
    SmallWorld(
        "other releases",
        _moves(
            "restart; "
            + _RUNS
            + """abort; the status cannot be read; the status can be read again;
            an older release wrote the status; the Rollout is deleted; the Rollout is created again; 2.0.0 is deleted;
            2.0.0 is well; frozen; thawed"""
        ),
        _plain,
        crashes=True,
        newer=True,
    ),
    SmallWorld(
        "rival and freeze",
        _moves(
            "restart; the gateway refuses; "
            + _RUNS
            + """abort; rollback; a rival keeps the route; the rival is gone;
            frozen; thawed; pause; resume; somebody gives 2.0.0 weight; somebody removes 1.0.0's entry"""
        ),
        _plain,
        crashes=True,
    ),
    SmallWorld(
        "first version",
        _moves(
            "restart; "
            + _RUNS
            + """abort; retry; 2.0.0 has no endpoints; 2.0.0 is well; 2.0.0 is deleted;
            somebody adds a stranger; somebody removes the stranger; the Rollout is deleted;
            the Rollout is created again"""
        ),
        _two,
        entries=(),
    ),
    SmallWorld(
        "known from the registry",
        _moves(
            _RUNS
            + """abort; rollback; rollback to 1.0.0; rollback is withdrawn; retry; 1.0.0 is well;
            1.0.0 has no endpoints; 1.0.0 is yanked; 2.0.0 is deleted and scaled to zero; 2.0.0 is well;
            the Rollout is deleted; the Rollout is created again"""
        ),
        _plain,
        entries=(),
        served=frozenset({"1.0.0"}),
    ),
    SmallWorld(
        "watch gaps",
        _moves(
            "restart; watch events stop; watch events come again; "
            + _RUNS
            + """abort; 2.0.0 is deleted;
            2.0.0 is well; 1.0.0 has no endpoints; 1.0.0 is well; somebody gives 2.0.0 weight;
            Git puts 1.0.0 back alone; the Rollout is deleted; the Rollout is created again"""
        ),
        _plain,
        crashes=True,
    ),
    SmallWorld(
        "watch gaps and wishes",
        _moves(
            "restart; watch events stop; watch events come again; "
            + _RUNS
            + """abort; abort is withdrawn;
            the spec cannot be read; the spec can be read again; frozen; thawed; a rival keeps the route;
            the rival is gone"""
        ),
        _two,
        crashes=True,
    ),
    SmallWorld(
        "foreign backend",
        _moves(
            "restart; the gateway cannot resolve a backend; "
            + _RUNS
            + """abort; rollback; retry;
            somebody gives 2.0.0 weight; somebody removes 1.0.0's entry; somebody adds a stranger;
            somebody removes the stranger; 1.0.0 has no endpoints; 1.0.0 is well; 1.0.0 is deleted;
            the Rollout is deleted; the Rollout is created again"""
        ),
        _plain,
        entries=(("1.0.0", 8000), ("foreign", 2000)),
        crashes=True,
    ),
    SmallWorld(
        "the stable version",
        _moves(
            _RUNS
            + """abort; rollback; rollback is withdrawn;
            1.0.0 is well; 1.0.0 has no endpoints; 1.0.0 has other bytes; 1.0.0 is checked again; 1.0.0 is replaced;
            1.0.0 is deleted and scaled to zero; 2.0.0 is deleted and scaled to zero; 2.0.0 is well;
            somebody empties the rule; somebody gives 1.0.0 weight; Git puts 1.0.0 back alone"""
        ),
        _plain,
    ),
)
"""Every event of the laws' preamble is a move of at least one of them: see support.exploration.events."""
