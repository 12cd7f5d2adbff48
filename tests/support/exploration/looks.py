"""One decision in a small world: what it makes of a state, and which laws it was held against.

Many states look alike to the operator: they differ in what it does not know, or in what only the laws of histories
count. Each sight is decided on and judged once.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

from serinus.engine.rollout.actions import (
    Action,
    CreateRoute,
    RunHttpTest,
    RunJobTest,
    SetFinalizer,
    SetMirror,
    SetWeights,
    ShapeRoute,
)
from serinus.engine.rollout.decide import decide
from serinus.engine.rollout.traffic.route_plan import Unplannable, plan_entries
from support.builders import NOW
from support.exploration import facts
from support.exploration.canonical import TICK
from support.exploration.machine import Machine
from support.exploration.state import (
    DELETED,
    EVIDENCE,
    FIGHTS,
    FINALIZER,
    FLAGS,
    GONE,
    HELD,
    REGISTRY_DOWN,
    SEEN,
    STATUS,
    TERMINATING,
    TESTS,
    UNREADABLE,
    Outcome,
    State,
    Violation,
    with_value,
)
from support.history_laws import HISTORY_LAWS, Counted, enters, is_correction, is_held
from support.law_terms import Step, is_running
from support.laws import judge
from support.rest_laws import REST_LAWS, deletion_ends, nothing_left_behind

T = TypeVar("T")
NEWER: Final = "a newer release wrote the status"
"""It decided as this one would, and stored what this one cannot read."""

_LONG: Final = Counted(timedelta(days=1), timedelta(days=1))
_NONE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Sight:
    """A decision on what the operator sees, with what the laws say of it.

    Attributes:
        after: the number of the status that it decides.
        actions: what it asks for.
        applied: the laws whose premise was true.
        violations: the laws that it breaks.
        timed: the decision itself where a law of histories applies to it; else None.
        correction: it puts right a foreign write.
        held: it leaves its run held.
        runs: it leaves a run under way.
        enters: that run is new in its stage, and new in its state.
        fresh: evidence and tests begin anew.
    """

    after: int
    actions: tuple[Action, ...]
    applied: frozenset[str]
    violations: tuple[Violation, ...]
    timed: Step | None
    correction: bool
    held: bool
    runs: bool
    enters: tuple[bool, bool]
    fresh: bool


class Looks:
    """The engine at work on one world's states."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.sights: dict[State, Sight] = {}
        self._interned: dict[object, object] = {}

    def look(self, state: State) -> Outcome:
        """Return what one decision makes of this state."""
        if state[FLAGS] & GONE:
            return self._gone(state)
        sight = self._sight(state)
        following, current, failed = [], state, False
        for number, action in enumerate(sight.actions, 1):
            acted = self._act(current, action)
            if acted is None:
                failed = True
                break
            current = acted
            if self.machine.crashes:
                following.append((f"crash after write {number}", self.machine.restarted(current)))
                following.append((f"no write after write {number}", current))
        unstored = failed or state[FLAGS] & UNREADABLE
        done = current if unstored else self._stored(current, state, sight)
        if self.machine.newer and not unstored:
            following.append((NEWER, with_value(done, FLAGS, done[FLAGS] | UNREADABLE)))
        following.append(("look", done))
        applied, violations = sight.applied, sight.violations
        if not unstored:
            applied, violations = self._with_history(state, done, sight)
        # A write on an old sight is refused as long as it is old: it ends with the next watch event or re-read.
        quiet = done == state and (not sight.actions or bool(state[SEEN]))
        return Outcome(tuple(following), quiet, applied, violations)

    def _gone(self, state: State) -> Outcome:
        """Look after what is left; weight that somebody else gave it after the last look is not the operator's.

        Without the finalizer it goes at once: its records are delivered then, although the status may not know it yet.
        """
        delivered = with_value(state, FLAGS, state[FLAGS] & ~REGISTRY_DOWN)
        problem = None if self._written_by_another(state) else self.left_behind(delivered)
        violations = (Violation(nothing_left_behind.__name__, problem),) if problem else ()
        applied = _NONE if problem is None else frozenset({nothing_left_behind.__name__})
        return Outcome((), quiet=True, applied=applied, violations=violations)

    def _sight(self, state: State) -> Sight:
        told = self.machine.told(self.machine.seen(state))
        found = self.sights.get(told)
        if found is None:
            found = self.sights[told] = self._decided(told)
        return found

    def _decided(self, told: State) -> Sight:
        step = self.step(told)
        before, after = step.before, step.after
        judged = judge(step)
        timed = any(law(step, _LONG) is not None for law in HISTORY_LAWS)
        old, new = before.stage, after.stage
        same = old is not None and new is not None and (before.run, old.index) == (after.run, new.index)
        actions = tuple(self._once(action) for action in step.decision.actions)
        return Sight(
            after=self.machine.status_number(after),
            actions=actions,
            applied=self._once(judged.applied),
            violations=tuple(Violation(*broken) for broken in judged.broken),
            timed=step if timed else None,
            correction=is_correction(step),
            held=is_held(step),
            runs=is_running(after) and new is not None,
            enters=enters(before, after),
            fresh=not same or not is_running(after),
        )

    def _once(self, value: T) -> T:
        return self._interned.setdefault(value, value)  # type: ignore[return-value]

    def step(self, told: State) -> Step:
        """Return the decision on what the operator is told."""
        spec, before, observed = self.machine.observe(told)
        return Step(spec, before, observed, NOW, decide(spec, before, observed, NOW))

    def _act(self, state: State, action: Action) -> State | None:
        """Return the state after a write; None where it is refused."""
        match action:
            case SetWeights():
                return self._written(state, action)
            case SetFinalizer(present=present):
                if (self.machine.seen(state)[FLAGS] ^ state[FLAGS]) & DELETED:
                    # It carries the resourceVersion that was believed, and the deletion has made another one.
                    return None
                flags = state[FLAGS] | FINALIZER if present else state[FLAGS] & ~FINALIZER
                if flags & DELETED and not present:
                    flags |= GONE
                return with_value(state, FLAGS, flags)
            case CreateRoute() | ShapeRoute() | SetMirror():
                raise AssertionError("no plan of the worlds has a managed route")
            case RunHttpTest() | RunJobTest():
                return with_value(state, TESTS, facts.TestState.RUNNING) if not state[TESTS] else state

    def _written(self, state: State, action: SetWeights) -> State | None:
        machine, beside = self.machine, action.route.name == facts.OTHER_ROUTE
        entries = machine.entries(state, beside=beside)
        if entries is None:
            return None
        planned = plan_entries(entries, action.shares, action.ours, action.filters_of)
        if isinstance(planned, Unplannable):
            return None
        if planned != entries:
            carried = (machine.route_number(planned), int(facts.Gate.BEHIND), 0)
            state = machine.with_carried(state, carried, beside=beside)
        if not state[SEEN]:
            return state
        # What the API server answers to a write is believed from then on.
        old = machine.with_carried(
            machine.snapshots.objects[state[SEEN]], machine.carried(state, beside=beside), beside=beside
        )
        return with_value(state, SEEN, machine.snapshots.number(old, old))

    def _stored(self, current: State, state: State, sight: Sight) -> State:
        """Return the state once the decision's status is stored."""
        if current[FLAGS] & GONE:
            return current
        changed = list(current)
        changed[STATUS] = sight.after
        if sight.fresh:
            changed[EVIDENCE] = changed[TESTS] = 0
        changed[HELD] = _held(state, sight)
        if sight.correction:
            changed[FIGHTS] = min(7, (state[FIGHTS] & 7) + 1) | state[FIGHTS] & ~7
        return tuple(changed)

    def _with_history(self, state: State, done: State, sight: Sight) -> tuple[frozenset[str], tuple[Violation, ...]]:
        """Return what the laws of histories add to those of the decision."""
        applied, violations = sight.applied, sight.violations
        if sight.timed is not None:
            counted = Counted(TICK * (state[HELD] & 7), TICK * (state[HELD] >> 3 & 7), state[FIGHTS] & 7)
            for law in HISTORY_LAWS:
                problem = law(sight.timed, counted)
                if problem is not None:
                    applied = self._once(applied | {law.__name__})
                if problem:
                    violations = (*violations, Violation(law.__name__, problem))
        if done[FLAGS] & GONE and not (state[SEEN] and self._written_by_another(done)):
            problem = self.left_behind(done)
            if problem is not None:
                applied = self._once(applied | {nothing_left_behind.__name__})
            if problem:
                violations = (*violations, Violation(nothing_left_behind.__name__, problem))
        return applied, violations

    def _written_by_another(self, state: State) -> bool:
        """Return whether somebody else wrote the route last."""
        return bool(self.machine.carried(state, beside=self.machine.is_beside(state))[2])

    def left_behind(self, state: State) -> str | None:
        """Return what nobody looks after any more once the Rollout is gone."""
        flags = state[FLAGS]
        return nothing_left_behind(
            self.machine.status(state),
            self.machine.entries(state, beside=self.machine.is_beside(state)),
            delivered=not flags & REGISTRY_DOWN,
            forced=bool(flags & TERMINATING),
        )

    def at_rest(self, state: State) -> tuple[frozenset[str], tuple[Violation, ...]]:
        """Return what the laws say of a state in which nothing will change by itself any more."""
        if state[FLAGS] & GONE:
            return frozenset({deletion_ends.__name__}), ()
        if state[FLAGS] & UNREADABLE:
            return _NONE, ()
        step = self.step(self.machine.told(self.machine.seen(state)))
        said = {law.__name__: law(step) for law in REST_LAWS}
        broken = tuple(Violation(law, problem) for law, problem in said.items() if problem)
        return frozenset(law for law, problem in said.items() if problem is not None), broken


def _held(state: State, sight: Sight) -> int:
    """HELD: run time of the stage in ticks, run time of its state, and whether the last look left it held."""
    if not sight.runs:
        return 0
    stage, run = state[HELD] & 7, state[HELD] >> 3 & 7
    new_stage, new_state = sight.enters
    return (0 if new_stage else stage) | (0 if new_state else run) << 3 | sight.held << 6


def later(held: int, ticks: int) -> int:
    """Return HELD after so many ticks: held time does not count."""
    if held >> 6:
        return held
    return min(7, (held & 7) + ticks) | min(7, (held >> 3 & 7) + ticks) << 3
