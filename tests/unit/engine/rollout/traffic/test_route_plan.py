"""Shares become whole weights without moving anybody else's traffic."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from serinus.api.modelversion import BackendRef
from serinus.api.route import RouteKind, RuleId
from serinus.engine.rollout.actions import BackendShare
from serinus.engine.rollout.traffic.facts import BackendKey, ParentFacts, RouteEntry, RouteFacts
from serinus.engine.rollout.traffic.route_plan import (
    AcceptanceState,
    Unplannable,
    accepted,
    carried,
    choose_rule,
    plan_entries,
    shares_of,
)
from serinus.engine.rollout.waiting import WaitReason


def key(name: str, port: int = 80) -> BackendKey:
    return BackendKey("", "Service", name, port)


def entry(name: str, weight: int, port: int = 80) -> RouteEntry:
    return RouteEntry(key(name, port), weight)


def share(name: str, parts: int) -> BackendShare:
    return BackendShare(BackendRef(name=name, port=80), parts)


OURS = frozenset({key("old"), key("stable"), key("candidate"), key("spare")})


def planned(entries: tuple[RouteEntry, ...], *shares: BackendShare) -> tuple[RouteEntry, ...]:
    found = plan_entries(entries, shares, OURS)
    assert not isinstance(found, Unplannable), found.message
    return found


def test_without_foreign_weight_the_weights_are_ten_thousandths() -> None:
    assert planned((entry("stable", 1),), share("stable", 9500), share("candidate", 500)) == (
        entry("stable", 9500),
        entry("candidate", 500),
    )


def test_a_foreign_entry_without_weight_does_not_change_the_scale() -> None:
    assert planned((entry("foreign", 0), entry("stable", 1)), share("stable", 10_000)) == (
        entry("foreign", 0),
        entry("stable", 10_000),
    )


def test_ours_that_are_not_wanted_go_and_the_others_keep_their_places() -> None:
    entries = (entry("old", 3), entry("foreign", 0), entry("candidate", 0), entry("stable", 7))
    assert planned(entries, share("stable", 10_000), share("candidate", 0)) == (
        entry("foreign", 0),
        entry("candidate", 0),
        entry("stable", 10_000),
    )


def test_another_port_of_the_same_service_is_a_foreign_backend() -> None:
    entries = (entry("stable", 100, port=8443), entry("stable", 100))
    assert planned(entries, share("stable", 10_000), share("candidate", 0)) == (
        entry("stable", 100, port=8443),
        entry("stable", 100),
        entry("candidate", 0),
    )


def test_a_backend_that_is_named_twice_gets_no_share_because_nobody_knows_which_entry_should_have_it() -> None:
    found = plan_entries((entry("stable", 1), entry("stable", 1)), (share("stable", 10_000),), OURS)
    assert isinstance(found, Unplannable)
    assert found.reason is WaitReason.DUPLICATE_BACKEND
    assert "stable:80 more than once" in found.message


def test_a_backend_that_is_named_twice_is_brought_to_zero_in_both_places() -> None:
    entries = (entry("stable", 9), entry("candidate", 1), entry("candidate", 1))
    assert planned(entries, share("stable", 10_000), share("candidate", 0)) == (
        entry("stable", 10_000),
        entry("candidate", 0),
        entry("candidate", 0),
    )


def test_a_new_entry_gets_the_filters_of_the_one_that_serves_and_the_others_keep_theirs() -> None:
    serving = RouteEntry(key("stable"), 1, '{"a":1}')
    found = plan_entries((serving,), (share("stable", 9500), share("candidate", 500)), OURS, key("stable"))
    assert found == (RouteEntry(key("stable"), 9500, '{"a":1}'), RouteEntry(key("candidate"), 500, '{"a":1}'))


def test_beside_foreign_weight_ours_keep_their_sum_and_a_share_is_one_of_the_whole_rule() -> None:
    entries = (entry("foreign", 50), entry("stable", 50))
    assert planned(entries, share("stable", 9500), share("candidate", 500)) == (
        entry("foreign", 50),
        entry("stable", 45),
        entry("candidate", 5),
    )


def test_at_all_traffic_the_candidate_takes_all_that_is_ours_and_no_more() -> None:
    entries = (entry("foreign", 50), entry("stable", 45), entry("candidate", 5))
    assert planned(entries, share("candidate", 10_000), share("stable", 0)) == (
        entry("foreign", 50),
        entry("stable", 0),
        entry("candidate", 50),
    )


@pytest.mark.parametrize(("parts", "weight"), [(500, 5), (2000, 10), (8000, 10), (9500, 15), (10_000, 20)])
def test_where_little_is_ours_a_rising_share_never_lowers_the_weight(parts: int, weight: int) -> None:
    entries = (entry("foreign", 80), entry("stable", 20))
    found = planned(entries, share("stable", 10_000 - parts), share("candidate", parts))
    assert found[2] == entry("candidate", weight)


def test_nothing_wanted_yet_leaves_foreign_weight_alone_and_gives_ours_none() -> None:
    assert planned((entry("foreign", 5),), share("candidate", 0)) == (entry("foreign", 5), entry("candidate", 0))


def test_weights_that_are_too_coarse_are_named_with_the_factor_that_helps() -> None:
    entries = (entry("foreign", 1), entry("stable", 1))
    found = plan_entries(entries, (share("stable", 9500), share("candidate", 500)), OURS)
    assert found == Unplannable(
        WaitReason.WEIGHTS_TOO_COARSE,
        "5% of the rule's weights (foreign 1, stable 1) would be weight 0.1 for candidate, and weights are whole "
        "numbers: multiply all weights of this rule by 100.",
    )


def test_no_weight_of_ours_beside_foreign_weight_cannot_be_divided() -> None:
    found = plan_entries((entry("foreign", 1), entry("stable", 0)), (share("stable", 10_000),), OURS)
    assert isinstance(found, Unplannable)
    assert "give our backends the sum of weight" in found.message


_names = st.sampled_from(["old", "stable", "candidate", "spare", "foreign", "stranger"])
_entries = st.lists(st.builds(entry, _names, st.integers(0, 1000)), max_size=6).map(tuple)
_split = st.integers(0, 10_000).map(lambda parts: (share("stable", 10_000 - parts), share("candidate", parts)))


@given(_entries, _split)
def test_the_plan_is_its_own_fixed_point_and_leaves_foreign_entries_as_they_were(
    entries: tuple[RouteEntry, ...], shares: tuple[BackendShare, ...]
) -> None:
    found = plan_entries(entries, shares, OURS)
    assume(not isinstance(found, Unplannable))
    assert not isinstance(found, Unplannable)
    assert plan_entries(found, shares, OURS) == found
    assert [e for e in found if e.key not in OURS] == [e for e in entries if e.key not in OURS]
    assert {e.key.name for e in found if e.key in OURS} == {"candidate", "stable"}
    for name in ("candidate", "stable"):
        places = [e for e in found if e.key == key(name)]
        assert len(places) == 1 or not any(e.weight for e in places)


@given(_entries, _split)
def test_foreign_shares_never_move_and_no_wanted_share_is_lost(
    entries: tuple[RouteEntry, ...], shares: tuple[BackendShare, ...]
) -> None:
    foreign = [e.key for e in entries if e.key not in OURS]
    assume(sum(e.weight for e in entries if e.key in foreign) > 0)
    found = plan_entries(entries, shares, OURS)
    assume(not isinstance(found, Unplannable))
    assert not isinstance(found, Unplannable)
    assert shares_of(found, foreign) == shares_of(entries, foreign)
    got = shares_of(found, OURS)
    for wanted in shares:
        assert (got[key(wanted.backend.name)] > 0) == (wanted.parts > 0)
    smaller = min(shares, key=lambda wanted: wanted.parts)
    assert got[key(smaller.backend.name)] <= smaller.parts / 100 * 1.1 + 1e-9


@given(st.integers(1, 50), st.integers(1, 50), _split)
def test_the_factor_in_the_message_does_help(theirs: int, held: int, shares: tuple[BackendShare, ...]) -> None:
    found = plan_entries((entry("foreign", theirs), entry("stable", held)), shares, OURS)
    assume(isinstance(found, Unplannable))
    assert isinstance(found, Unplannable)
    factor = int(found.message.removesuffix(".").rsplit(" ", 1)[1])
    entries = (entry("foreign", theirs * factor), entry("stable", held * factor))
    assert not isinstance(plan_entries(entries, shares, OURS), Unplannable)


@given(_entries)
def test_shares_are_percent_of_the_whole_rule(entries: tuple[RouteEntry, ...]) -> None:
    total = sum(shares_of(entries, {e.key for e in entries}).values())
    assert total == pytest.approx(100.0 if any(e.weight for e in entries) else 0.0)


def parent(name: str, generation: int, *, accepted: bool = True, message: str = "") -> ParentFacts:
    return ParentFacts(name, accepted, generation, message=message)


def route(*parents: ParentFacts, generation: int = 3) -> RouteFacts:
    return RouteFacts(generation=generation, entries=(), parents=parents)


def test_a_route_is_accepted_when_every_parent_accepts_its_generation() -> None:
    found = accepted(route(parent("a", 3), parent("b", 4)))
    assert (found.state, found.message) == (AcceptanceState.YES, "")


def test_a_parent_that_has_not_seen_the_generation_is_waited_for_by_name() -> None:
    found = accepted(route(parent("a", 3), parent("b", 2), parent("c", 0, accepted=False)))
    assert found.state is AcceptanceState.WAITING
    assert found.message == "Waiting for b (at 2), c (at 0) to accept generation 3."


def test_one_refusal_at_this_generation_outweighs_all_waiting() -> None:
    found = accepted(route(parent("a", 2), parent("b", 3, accepted=False, message="BackendNotFound: no such Service")))
    assert found.state is AcceptanceState.REFUSED
    assert "b: BackendNotFound: no such Service" in found.message


def test_a_route_whose_backends_do_not_all_work_is_refused_but_carried() -> None:
    broken = route(ParentFacts("a", accepted=True, observed_generation=3, resolved=False, message="BackendNotFound"))
    assert (accepted(broken).state, carried(broken).state) == (AcceptanceState.REFUSED, AcceptanceState.YES)


def test_a_route_without_parents_is_waited_for_with_a_reason() -> None:
    found = accepted(route())
    assert found.state is AcceptanceState.WAITING
    assert "parentRefs" in found.message


def chosen(names: list[str], rule: str | None = None, owner: str = "", on_trial: tuple[int, ...] = ()) -> int | str:
    found = choose_rule(RuleId(RouteKind.HTTP_ROUTE, "fraud", rule), names, owner, on_trial)
    return found if isinstance(found, int) else f"{found.reason}: {found.message}"


def test_the_named_rule_is_chosen_or_the_only_one() -> None:
    assert chosen(["health", "predict"], "predict") == 1
    assert chosen([""]) == 0


def test_a_rule_that_is_not_there_is_a_sentence_with_those_that_are() -> None:
    assert chosen(["health", ""], "predict") == (
        "NoSuchRule: HTTPRoute fraud has no rule predict; its rules: health, number 2, unnamed: "
        "name one of them in spec.route.httpRoute.ruleName."
    )


def test_the_rule_of_a_version_on_trial_is_chosen_where_the_name_says_nothing() -> None:
    assert chosen(["health", "infer"], "predict", on_trial=(1,)) == 1
    assert chosen(["", ""], on_trial=(1,)) == 1
    assert chosen(["predict", "infer"], "predict", on_trial=(1,)) == 0
    assert "has no rule predict" in str(chosen(["a", "b"], "predict", on_trial=(0, 1)))
    assert "does not say which" in str(chosen(["a", "b"], on_trial=(0, 1)))
    assert "belongs to" in str(chosen(["a", "b"], owner="InferenceService/fraud", on_trial=(0,)))


def test_of_two_rules_of_one_name_none_is_chosen_but_that_of_a_version_on_trial() -> None:
    """Istio lets the routes of a VirtualService have the same name."""
    assert chosen(["predict", "predict"], "predict") == (
        "NoSuchRule: HTTPRoute fraud has 2 rules predict, and the traffic of only one of them would be set: "
        "give each a name of its own."
    )
    assert chosen(["predict", "predict"], "predict", on_trial=(1,)) == 1
    assert chosen(["predict", "predict"], "predict", on_trial=(0, 1)) == 0


def test_several_rules_and_no_name_is_a_question_back() -> None:
    assert "has 2 rules (a, b) and the Rollout does not say which" in str(chosen(["a", "b"]))


def test_a_route_that_another_controller_owns_is_not_ours_to_write() -> None:
    assert str(chosen([""], owner="InferenceService/fraud")).startswith("RouteOwnedByOther: HTTPRoute fraud belongs to")
