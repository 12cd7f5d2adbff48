"""Each law finds at least two defects that are put into the engine: a check that could not fail would prove nothing.

The defects are those that were found in the engine once (a rollback complete while the bad version keeps its weight, a
conflict that disarms an abort, held time that counts, tokens that are swallowed), and others of their kinds.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from msgspec import structs

from serinus.api.names import Command
from serinus.api.rollout_status import CurrentStage, RolloutStatus
from serinus.engine.rollout import causes, commands, conclude, decide, finalizer, rollback, runs, start_blockers
from serinus.engine.rollout import status as described
from serinus.engine.rollout.actions import SetFinalizer
from serinus.engine.rollout.stages import analysis, walk
from serinus.engine.rollout.traffic import readiness, targets, weights
from serinus.engine.rollout.waiting import Waiting, WaitReason
from support.builders import NOW, a_spec, a_stage
from support.examples import examples
from support.exploration.__main__ import AT_REST, CHECKS
from support.exploration.search import Search
from support.exploration.worlds import CANARY, PRODUCTION, SmallWorld
from support.law_terms import BrokenLawError
from support.rest_laws import nothing_left_behind
from support.world_states import in_canary

BUDGET: Final = 4_000
"""States in which the defect must be found, at most."""

RUN: Final = "the gateway accepts; it is good; it is bad; 31 s pass; "
Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Defect:
    """A defect, the law that finds it, and what must happen in a world for it to show."""

    law: str
    name: str
    moves: str
    patch: Patch
    crashes: bool = False
    versions: int = 2
    stages: tuple[dict[str, Any], ...] = (CANARY, PRODUCTION)
    at_the_end: int = 400
    """In so many states a law of a world at rest must find it, which is checked once the search is over."""

    def world(self) -> SmallWorld:
        moves = tuple(part.strip() for part in self.moves.split(";") if part.strip())
        spec = a_spec("2.0.0", *self.stages)
        return SmallWorld(self.name, moves, lambda: {"wanted": spec}, versions=self.versions, crashes=self.crashes)


def _returns(module: Any, name: str, value: object, *others: Any) -> Patch:
    """Have a function return this, in its module and in others that import it."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        for one in (module, *others):
            monkeypatch.setattr(one, name, lambda *_, **__: value)

    return patch


def _keeps_draft(module: Any, name: str) -> Patch:
    return lambda patch: patch.setattr(module, name, lambda draft, *_, **__: draft)


def _after(change: Callable[[RolloutStatus], dict[str, object]]) -> Patch:
    """Change the status at each decision, as a forgotten line would."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        plain = readiness.track_readiness

        def tracked(draft: Any, situation: Any) -> Any:
            draft = plain(draft, situation)
            return draft.with_status(**change(draft.status))

        patch.setattr(decide, "track_readiness", tracked)

    return apply


def _all(*patches: Patch) -> Patch:
    def apply(patch: pytest.MonkeyPatch) -> None:
        for one in patches:
            one(patch)

    return apply


def _silent_answers(patch: pytest.MonkeyPatch) -> None:
    def answered(draft: Any, before: Any, situation: Any, pending: Any) -> Any:
        for verb, token in pending.by_verb.items():
            draft = commands.acknowledged(draft, verb, token)
        return draft

    patch.setattr(commands, "answer_rest", answered)


def _empty_for_unreadable(patch: pytest.MonkeyPatch) -> None:
    def empty(_: RolloutStatus, observed: Any) -> Any:
        return plain(a_spec("2.0.0", CANARY, PRODUCTION), RolloutStatus(), replace(observed, status_problem=""), NOW)

    plain = decide.decide
    patch.setattr(decide, "_unreadable", empty)


def _others_first(patch: pytest.MonkeyPatch) -> None:
    def in_order(weights: Any, change: Any, _routes: Any, tests: Any) -> Any:
        return (*((change or SetFinalizer(present=True)),), *tests, *weights)

    patch.setattr(conclude, "_in_order", in_order)


def _without_completion(patch: pytest.MonkeyPatch) -> None:
    def complete(draft: Any, *_: object) -> Any:
        return draft.with_status(rollback=None, candidate=None, stage=None)

    patch.setattr(rollback, "complete", complete)


def _stranger(status: RolloutStatus) -> dict[str, object]:
    route = status.route
    return {"route": structs.replace(route, foreign=("stranger:80",))} if route is not None and status.stage else {}


def _other_rule(status: RolloutStatus) -> dict[str, object]:
    route = status.route
    return {"route": structs.replace(route, rule_name="other")} if route is not None and status.stage else {}


def _flips(status: RolloutStatus) -> dict[str, object]:
    return {"last_known_good": None if status.last_known_good else "1.0.0"}


def _forgets(status: RolloutStatus) -> dict[str, object]:
    return {"run_started_at": None if status.run_started_at else NOW}


def _taken_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rollback, "complete", lambda draft, *_: draft.with_status(rollback=None))


def _freeze_unnoted(patch: pytest.MonkeyPatch) -> None:
    plain = conclude._track_hold

    def noted(draft: Any, situation: Any, *, unwatched: bool) -> Any:
        return draft if situation.observed.freeze is not None else plain(draft, situation, unwatched=unwatched)

    patch.setattr(conclude, "_track_hold", noted)


_NEVER: Final = Waiting(WaitReason.WEIGHT_PENDING, "never")
_DELETED: Final = RUN + "the Rollout is deleted"
_PAUSED: Final = "the gateway accepts; it is good; 31 s pass; pause; resume"
_FROZEN: Final = "the gateway accepts; it is good; 31 s pass; frozen; thawed"
_TAKEN: Final = "the gateway accepts; it is good; Prometheus is down; 31 s pass; somebody removes 2.0.0's entry"
_FOUGHT: Final = "somebody gives 2.0.0 weight; 31 s pass"

DEFECTS: Final = (
    Defect("contained", "nothing is a cause", RUN, _returns(decide, "rollback_cause", None)),
    Defect(
        "contained",
        "a conflict suppresses an abort",
        RUN + "abort; a rival keeps the route",
        _returns(weights, "_containment", ()),
    ),
    Defect(
        "stored_before_the_first_weight",
        "the backends are not kept",
        RUN,
        _all(
            lambda patch: patch.setattr(decide, "with_backends", lambda serving, _: serving),
            lambda patch: patch.setattr(runs, "with_backends", lambda serving, _: serving),
            _returns(weights, "must_not_rise", value=False),
        ),
    ),
    Defect(
        "stored_before_the_first_weight",
        "an older status is not upgraded first",
        RUN + "an older release wrote the status",
        _returns(weights, "must_not_rise", value=False),
        crashes=True,
    ),
    Defect(
        "true_to_the_route",
        "a rollback is complete while the bad version keeps its weight",
        RUN + "abort; somebody gives 2.0.0 weight",
        _returns(decide, "unsafe", None),
    ),
    Defect("true_to_the_route", "what was written is confirmed", RUN, _returns(described, "unconfirmed_by", None)),
    Defect("foreign_is_what_was_there", "strangers become foreign", RUN, _after(_stranger)),
    Defect("foreign_is_what_was_there", "the rule changes in mid-run", RUN, _after(_other_rule)),
    Defect(
        "no_unproven_target",
        "the traffic goes to a version that never served",
        RUN + "rollback to 3.0.0",
        _returns(targets, "unfit", ""),
        versions=3,
    ),
    Defect(
        "no_unproven_target",
        "the traffic goes to a quarantined version",
        RUN + "abort; rollback to 2.0.0",
        _returns(targets, "unfit", ""),
    ),
    Defect(
        "no_unproven_target",
        "the traffic goes to a version without endpoints",
        "the gateway accepts; it is bad; 31 s pass; abort; 1.0.0 has no endpoints",
        lambda patch: patch.setattr(targets.Place, "is_ready", property(lambda _: True)),
        stages=(a_stage("production", "100%", bake="31s"),),
    ),
    Defect(
        "verdict_in_force",
        "a yank is only asked about at the start",
        RUN + "2.0.0 is yanked",
        _returns(causes, "_refused", None),
    ),
    Defect(
        "verdict_in_force",
        "a dead candidate keeps its traffic",
        RUN + "2.0.0 has no endpoints",
        _returns(causes, "_without_endpoints", None),
    ),
    Defect("safety_first", "something comes before safety", RUN, _others_first),
    Defect("safety_first", "safety is not marked", RUN, _returns(weights, "_lowers", value=False)),
    Defect("nothing_swallowed", "a token is swallowed", "abort; retry", _silent_answers),
    Defect(
        "nothing_swallowed",
        "a token counts once in a lifetime",
        "abort; abort is withdrawn",
        _keeps_draft(commands, "forget_withdrawn"),
    ),
    Defect("nothing_swallowed", "nothing is acknowledged", "abort; pause", _keeps_draft(commands, "acknowledged")),
    Defect("pause_kept", "a pause is forgotten", "pause", _after(lambda _: {"paused": None})),
    Defect("pause_kept", "a run begins in a pause", "pause", _returns(start_blockers, "held_by_people", None)),
    Defect(
        "unreadable_is_not_empty",
        "an unreadable status is taken for an empty one",
        "the status cannot be read",
        _empty_for_unreadable,
    ),
    Defect(
        "unreadable_is_not_empty",
        "an unreadable spec is followed",
        RUN + "the spec cannot be read",
        _returns(decide, "_unfollowable", None),
    ),
    Defect("outbox_kept", "there is no finalizer", RUN, _returns(conclude, "finalizer_change", None)),
    Defect(
        "outbox_kept",
        "records do not count",
        RUN + "the registry is down",
        _returns(finalizer, "_is_needed", value=False),
    ),
    Defect(
        "no_weight_without_evidence",
        "a stage passes without evidence",
        "the gateway accepts; no traffic; 31 s pass",
        _returns(analysis, "lacking_to_pass", None, walk),
    ),
    Defect("no_weight_without_evidence", "a freeze holds nothing", RUN + "frozen", _returns(decide, "_hold", None)),
    Defect("modes_follow", "a rollback is forgotten", RUN, _without_completion),
    Defect("modes_follow", "a rollback is taken back", RUN, _taken_back),
    Defect("held_time_is_not_run_time", "a freeze is not noted", _FROZEN, _freeze_unnoted),
    Defect(
        "held_time_is_not_run_time",
        "time with less than the stage gives is not noted",
        _TAKEN,
        _returns(conclude, "lacking_weight", None),
    ),
    Defect("held_time_is_not_run_time", "held time is not noted", _PAUSED, _keeps_draft(conclude, "_track_hold")),
    Defect(
        "no_fight",
        "every correction goes at once",
        _FOUGHT,
        lambda patch: patch.setattr(weights, "correct", lambda draft, *_: (draft, False)),
    ),
    Defect("no_fight", "no change is a drift", _FOUGHT, _returns(weights, "_drifted", value=False)),
    Defect("deletion_ends", "the finalizer stays", _DELETED, _returns(finalizer, "_is_needed", value=True)),
    Defect(
        "deletion_ends",
        "it is put on again and again",
        _DELETED,
        _returns(conclude, "finalizer_change", SetFinalizer(present=True)),
    ),
    Defect(
        "nothing_left_behind",
        "the finalizer goes before the weight",
        _DELETED,
        _all(_returns(finalizer, "_has_traffic", value=False), _returns(weights, "_lowers", value=False)),
    ),
    Defect(
        "nothing_left_behind",
        "the finalizer goes before the records",
        _DELETED + "; the registry is down",
        _returns(finalizer, "_is_needed", value=False),
    ),
    Defect("every_token_answered", "no retry is answered", RUN + "abort; retry", _keeps_draft(commands, "answer_rest")),
    Defect("every_token_answered", "no command is seen", "abort; pause", _returns(commands, "_fresh", {})),
    Defect(
        "nothing_bad_has_weight",
        "drift is left where it is",
        "abort; somebody gives 2.0.0 weight",
        lambda patch: patch.setattr(decide, "conclude", _without_weights(conclude.conclude)),
        at_the_end=1_500,
    ),
    Defect(
        "nothing_bad_has_weight",
        "the rollback's weights are not written",
        RUN + "somebody gives 2.0.0 weight",
        lambda patch: patch.setattr(conclude, "weight_writes", _only_rises(weights.weight_writes)),
    ),
    Defect("rollback_ends", "nothing is ever safe", RUN, _returns(decide, "unsafe", _NEVER)),
    Defect("rollback_ends", "that it is over is not noted", RUN, _keeps_draft(rollback, "complete")),
    Defect("comes_to_rest", "every decision changes the status", "the gateway accepts", _after(_flips)),
    Defect("comes_to_rest", "a run's beginning is forgotten and noted again", RUN, _after(_forgets)),
)


def _without_weights(plain: Any) -> Any:
    def concluded(draft: Any, before: Any, situation: Any) -> Any:
        decision = plain(draft, before, situation)
        bad = before.rollback is not None and before.rollback.traffic_safe_at is not None
        return replace(decision, actions=()) if bad else decision

    return concluded


def _only_rises(plain: Any) -> Any:
    def written(draft: Any, *rest: Any) -> Any:
        after, actions = plain(draft, *rest)
        return after, tuple(action for action in actions if not action.towards_safety)

    return written


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: f"{defect.law}: {defect.name}")
def test_a_defect_is_found_by_its_law(defect: Defect, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Search(defect.world()).run(examples(300, developer=50), seconds=600).violations
    defect.patch(monkeypatch)

    at_the_end = defect.law in {*AT_REST, "comes_to_rest"}
    report = Search(defect.world()).run(defect.at_the_end if at_the_end else BUDGET, seconds=600, until=defect.law)

    found = {violation.law: history for violation, history in report.violations}
    assert defect.law in found, found
    print(f"{defect.law}: {defect.name}: {report.looked:,} states: {'; '.join(found[defect.law])}")  # noqa: T201


def test_held_time_that_counts_is_found_in_a_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exploration keeps statuses that mean the same as one, with held time taken out: it would not see this."""
    world = in_canary()
    world.command(Command.PAUSE).look()
    world.pass_time(minutes=100)
    world.command(Command.RESUME)
    monkeypatch.setattr(CurrentStage, "elapsed_in_state", lambda stage, now: now - stage.state_since)

    with pytest.raises(BrokenLawError, match="held_time_is_not_run_time"):
        world.measure().settle()


def test_every_law_finds_two_defects() -> None:
    counted = Counter(defect.law for defect in DEFECTS)

    for law in (*CHECKS, *AT_REST, nothing_left_behind.__name__, "comes_to_rest"):
        assert counted[law] >= 2, law
