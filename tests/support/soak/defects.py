"""Wrong behaviours, put into the facts of a simulation that had none: the oracle must find each.

Each function returns the changed facts. Where a situation is not in the recording, ``LookupError`` is raised.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from msgspec import structs

from serinus.api.rollout_status import RolloutStatus, RunResult
from support.soak import defects_of_trails as trails
from support.soak.facts import (
    Applied,
    Commanded,
    Counted,
    Fact,
    Looked,
    Quality,
    StatusWritten,
    Troubled,
    Weights,
    Wished,
)
from support.soak.recording import every, first

Facts = Sequence[Fact]
Defect = Callable[[Facts], list[Fact]]

OUTRIGHT = Quality("fails outright", errors=1.0, slow=0.005)
GOOD = Quality("good", errors=0.001, slow=0.005)
HOUR = 3600.0


def _with(facts: Facts, place: int, *new: Fact) -> list[Fact]:
    return [*facts[: place + 1], *new, *facts[place + 1 :]]


def _on_trial(status: RolloutStatus, least: float = 0.0) -> bool:
    candidate = status.candidate
    return candidate is not None and status.stage is not None and least < candidate.weight < 50


def _raise(fact: StatusWritten, share: float, at: float) -> Weights:
    candidate, stable = fact.status.candidate, fact.status.stable
    assert candidate is not None
    assert stable is not None
    return Weights(at, fact.model, {stable.version: 100 - share, candidate.version: share}, by_operator=True)


# ---- weights ------------------------------------------------------------------------------------------


def weight_is_raised_during_a_pause(facts: Facts) -> list[Fact]:
    place, fact = first(facts, StatusWritten, lambda one: one.status.paused is not None and _on_trial(one.status))
    return _with(facts, place, _raise(fact, 100.0, fact.at + 1))


def weight_is_raised_before_the_stage_is_over(facts: Facts) -> list[Fact]:
    place, fact = first(facts, StatusWritten, lambda one: _on_trial(one.status))
    return _with(facts, place, _raise(fact, 100.0, fact.at + 1))


def weight_is_raised_without_requests(facts: Facts) -> list[Fact]:
    _, promoted = first(facts, StatusWritten, lambda one: _newest(one, RunResult.PROMOTED))
    version = promoted.status.history[0].version
    return [
        fact
        for fact in facts
        if not (isinstance(fact, Counted) and (fact.model, fact.version) == (promoted.model, version))
    ]


def weight_is_none_of_the_plan(facts: Facts) -> list[Fact]:
    place, fact = first(facts, StatusWritten, lambda one: _on_trial(one.status))
    return _with(facts, place, _raise(fact, 37.0, fact.at + 1))


def weights_add_up_to_less_than_everything(facts: Facts) -> list[Fact]:
    place, fact = first(facts, Weights, lambda one: one.by_operator)
    shares = {version: share / 2 for version, share in fact.shares.items()}
    return _with(facts, place, replace(fact, shares=shares))


def a_rolled_back_version_gets_weight_again(facts: Facts) -> list[Fact]:
    place, fact = first(facts, StatusWritten, lambda one: _newest(one, RunResult.ROLLED_BACK))
    version, stable = fact.status.history[0].version, fact.status.stable
    assert stable is not None
    shares = {stable.version: 95.0, version: 5.0}
    return _with(facts, place, Weights(fact.at + 1, fact.model, shares, by_operator=True))


def a_version_gets_weight_without_a_run(facts: Facts) -> list[Fact]:
    place, fact = first(facts, Applied, lambda one: one.version != "1.0.0")
    shares = {"1.0.0": 95.0, fact.version: 5.0}
    return _with(facts, place, Weights(fact.at + 1, fact.model, shares, by_operator=True))


# ---- outcomes -----------------------------------------------------------------------------------------


def a_bad_version_is_promoted(facts: Facts) -> list[Fact]:
    _, promoted = first(facts, StatusWritten, lambda one: _newest(one, RunResult.PROMOTED))
    named = (promoted.model, promoted.status.history[0].version)
    return [
        replace(fact, quality=OUTRIGHT) if isinstance(fact, Applied) and (fact.model, fact.version) == named else fact
        for fact in facts
    ]


def a_bad_version_keeps_its_weight(facts: Facts) -> list[Fact]:
    """Its weight is not taken, and nothing else is said of the model any more."""
    place, fact = first(
        facts, StatusWritten, lambda one: one.status.rollback is not None and one.status.rollback.requests > 0
    )
    before = next(at for at in range(place, 0, -1) if isinstance(facts[at], Weights) and facts[at].model == fact.model)
    at, version = facts[before].at, fact.status.rollback.version if fact.status.rollback is not None else ""
    silent = [one for one in facts[before + 1 :] if one.model != fact.model]
    wrong = [Counted(at + 180 * n, fact.model, version, 2000, 2000, 2000) for n in range(1, 40)]
    return sorted([*facts[:before], *silent, *wrong], key=lambda one: one.at)


def an_abort_is_not_followed(facts: Facts) -> list[Fact]:
    place, fact = first(facts, StatusWritten, lambda one: _on_trial(one.status))
    abort = Commanded(fact.at + 0.5, fact.model, "abort", "now")
    rest = [one for one in facts[place + 1 :] if one.model != fact.model]
    return [*facts[: place + 1], abort, *rest]


def good_versions_are_aborted(facts: Facts) -> list[Fact]:
    return [replace(fact, quality=GOOD) if isinstance(fact, Applied) else fact for fact in facts]


def a_good_version_is_never_promoted(facts: Facts) -> list[Fact]:
    _, promoted = first(facts, StatusWritten, lambda one: _newest(one, RunResult.PROMOTED))
    version = promoted.status.history[0].version
    place, _ = first(
        facts,
        StatusWritten,
        lambda one: (
            one.model == promoted.model
            and one.status.candidate is not None
            and one.status.candidate.version == version
            and one.status.candidate.weight > 0
        ),
    )
    at = facts[place].at
    hours = [step for n in range(1, 120) for step in _quiet(at + 180.0 * n, promoted.model, version)]
    return [*facts[: place + 1], *_calmed(facts[: place + 1]), *hours]


def _calmed(facts: Facts) -> list[Fact]:
    """Return the ends of the faults that are on, as far as the last one of a kind is not over."""
    on = {(fact.kind, fact.model): fact for fact in facts if isinstance(fact, Troubled) and fact.on}
    for fact in facts:
        if isinstance(fact, Troubled) and not fact.on:
            on.pop((fact.kind, fact.model), None)
    return [replace(fact, at=facts[-1].at, on=False) for fact in on.values()]


def _quiet(at: float, model: str, version: str) -> Iterable[Fact]:
    return Counted(at, model, version, 500, 0, 0), Looked(at, "")


def a_rollback_has_no_cause(facts: Facts) -> list[Fact]:
    place, fact = first(facts, StatusWritten, lambda one: _on_trial(one.status))
    _, aborted = first(facts, StatusWritten, lambda one: one.status.rollback is not None)
    assert fact.status.candidate is not None
    assert aborted.status.rollback is not None
    named = structs.replace(
        aborted.status.rollback,
        version=fact.status.candidate.version,
        reason=type(aborted.status.rollback.reason)("StageTimedOut"),
    )
    return _with(facts, place, replace(fact, at=fact.at + 1, status=structs.replace(fact.status, rollback=named)))


def a_rollback_goes_to_a_version_that_was_never_promoted(facts: Facts) -> list[Fact]:
    place, fact = first(facts, StatusWritten, lambda one: one.status.rollback is not None)
    assert fact.status.rollback is not None
    wrong = structs.replace(fact.status, rollback=structs.replace(fact.status.rollback, to="7.7.7"))
    return [*facts[:place], replace(fact, status=wrong), *facts[place + 1 :]]


# ---- the status ---------------------------------------------------------------------------------------


def the_status_claims_another_share(facts: Facts) -> list[Fact]:
    """The route is as it was, and the status calls another share confirmed."""
    place, fact = first(
        facts,
        StatusWritten,
        lambda one: (
            _on_trial(one.status)
            and any(c.type == "TrafficConfirmed" and c.status.value == "True" for c in one.status.conditions)
        ),
    )
    assert fact.status.candidate is not None
    wrong = structs.replace(fact.status, candidate=structs.replace(fact.status.candidate, weight=99.0))
    return [*facts[:place], replace(fact, status=wrong), *facts[place + 1 :]]


def the_last_known_good_was_never_promoted(facts: Facts) -> list[Fact]:
    place, fact = first(facts, StatusWritten, lambda one: one.status.stable is not None)
    wrong = structs.replace(fact.status, last_known_good="7.7.7")
    return [*facts[:place], replace(fact, status=wrong), *facts[place + 1 :]]


def the_stable_version_was_never_promoted(facts: Facts) -> list[Fact]:
    place, fact = first(facts, StatusWritten, lambda one: one.status.stable is not None and one.at > HOUR)
    assert fact.status.stable is not None
    wrong = structs.replace(fact.status, stable=structs.replace(fact.status.stable, version="7.7.7"))
    return [*facts[:place], replace(fact, status=wrong), *facts[place + 1 :]]


def healthy_is_said_of_another_version(facts: Facts) -> list[Fact]:
    place, fact = first(facts, StatusWritten, lambda one: one.status.phase.value == "Healthy" and one.at > 2 * HOUR)
    _, wished = next(iter(reversed(list(every(facts[:place], Wished, lambda one: one.model == fact.model)))))
    return [
        *facts[:place],
        replace(wished, at=fact.at, version="7.7.7"),
        *facts[place : place + 1],
        replace(fact, at=fact.at + HOUR),
    ]


def a_command_is_never_answered(facts: Facts) -> list[Fact]:
    _, command = first(facts, Commanded)
    return [
        replace(fact, status=structs.replace(fact.status, last_handled={}))
        if isinstance(fact, StatusWritten) and fact.model == command.model
        else fact
        for fact in facts
    ]


def _newest(fact: StatusWritten, result: RunResult) -> bool:
    history = fact.status.history
    return bool(history) and history[0].result is result


DEFECTS: dict[Defect, str] = {
    weight_is_raised_during_a_pause: "paused",
    weight_is_raised_before_the_stage_is_over: "duration",
    weight_is_raised_without_requests: "requests",
    weight_is_none_of_the_plan: "weights of the plan",
    weights_add_up_to_less_than_everything: "weights of the plan",
    a_rolled_back_version_gets_weight_again: "no unproven target",
    a_version_gets_weight_without_a_run: "no unproven target",
    a_bad_version_is_promoted: "bad version promoted",
    a_bad_version_keeps_its_weight: "safe weight",
    an_abort_is_not_followed: "safe weight",
    good_versions_are_aborted: "false aborts",
    a_good_version_is_never_promoted: "good version promoted",
    a_rollback_has_no_cause: "cause of a rollback",
    a_rollback_goes_to_a_version_that_was_never_promoted: "rollback target",
    the_status_claims_another_share: "true to the route",
    the_last_known_good_was_never_promoted: "last known good",
    the_stable_version_was_never_promoted: "stable has served well",
    healthy_is_said_of_another_version: "healthy",
    a_command_is_never_answered: "command answered",
    trails.a_record_is_missing: "trail in order",
    trails.a_promotion_is_missing_from_a_renumbered_trail: "end recorded",
    trails.a_beginning_is_missing_from_a_renumbered_trail: "start recorded",
    trails.a_shift_is_missing_from_a_renumbered_trail: "shift recorded",
    trails.a_promotion_is_recorded_twice: "recorded once",
    trails.one_record_is_delivered_twice: "recorded once",
    trails.a_run_ends_before_it_begins: "trail in order",
}
"""Each with the rule that must find it."""
