"""The head as the fold of the chain, over random histories, however unlikely."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from serinus.api.audit_record import PROMOTED_BECAUSE, PROMOTED_BY, AuditEntry, AuditEvent, AuditRecordSpec
from serinus.api.model import MAX_GOOD, MAX_QUARANTINED, MAX_RECENT, Head, ModelStatus, ProductionVersion
from serinus.api.modelversion import VersionStage
from serinus.api.parsing import decode, encode
from serinus.engine.audit.head import Accepted, Promote, Rejected, RollBack, apply, evaluate, fold, seal
from serinus.engine.versions.lifecycle import version_stage
from support.audit.random_histories import MODEL, VERSIONS, audit_entries, chain_of
from support.registry.place import BY, START, audit_entry

histories = st.lists(audit_entries(), max_size=20)
with_rollback_targets = st.lists(audit_entries(without_target=False), max_size=20)


def after(*entries: AuditEntry) -> Head:
    return chain_of(entries)[1]


def promoted(version: str) -> AuditEntry:
    return audit_entry(AuditEvent.PROMOTED, version=version)


def rolled_back(version: str, to: str = "") -> AuditEntry:
    return audit_entry(AuditEvent.ROLLED_BACK, version=version, to=to)


def serving(head: Head) -> str | None:
    return head.production.version if head.production is not None else None


@given(histories)
def test_the_head_is_the_fold_of_the_chain_also_after_both_have_been_stored(entries: list[AuditEntry]) -> None:
    records, head = chain_of(entries)
    assert fold(records) == head
    stored = [decode(AuditRecordSpec, encode(record), "spec") for record in records]
    assert stored == records
    assert fold(stored) == decode(Head, encode(head), "status") == head


@given(histories)
def test_a_head_can_be_written_into_a_models_status(entries: list[AuditEntry]) -> None:
    status = decode(ModelStatus, encode(after(*entries)), "status")
    assert status.audit.sequence == len(entries)
    assert len(status.recent) == min(len(entries), MAX_RECENT)


@given(with_rollback_targets)
def test_no_version_has_two_roles_at_once(entries: list[AuditEntry]) -> None:
    head = after(*entries)
    assert not {*head.good} & {*head.quarantined}
    assert serving(head) not in {*head.good, *head.quarantined}
    assert len({*head.good}) == len(head.good)
    assert len({*head.quarantined}) == len(head.quarantined)


@given(histories)
def test_a_quarantined_version_is_never_a_rollback_target(entries: list[AuditEntry]) -> None:
    head = after(*entries)
    assert not {*head.good} & {*head.quarantined}
    assert serving(head) not in head.good


@given(histories)
def test_the_generation_grows_exactly_when_another_version_serves(entries: list[AuditEntry]) -> None:
    head = Head()
    for record in chain_of(entries)[0]:
        next_head = apply(head, record)
        assert next_head.generation - head.generation == (serving(next_head) != serving(head))
        assert (record.before.generation, record.after.generation) == (head.generation, next_head.generation)
        assert (record.before.production, record.after.production) == (serving(head) or "", serving(next_head) or "")
        head = next_head


@given(histories, st.sampled_from((None, *VERSIONS)))
def test_a_rollback_goes_only_to_a_version_that_has_served_and_was_not_rolled_back(
    entries: list[AuditEntry], to: str | None
) -> None:
    head = after(*entries)
    answer = evaluate(head, RollBack(to))
    if isinstance(answer, Rejected):
        assert to is not None or not head.good or serving(head) is None
    else:
        assert answer.event is AuditEvent.ROLLED_BACK
        assert answer.serves in {record.version for record in entries} | {record.to for record in entries}
        assert answer.serves in head.good
        assert answer.serves != serving(head) == answer.version
        assert answer.serves == to or answer.serves == head.good[0]


@given(histories, st.sampled_from(VERSIONS))
def test_an_accepted_request_has_the_production_version_that_it_announces(
    entries: list[AuditEntry], version: str
) -> None:
    records, head = chain_of(entries)
    for request in (Promote(version), RollBack(version), RollBack()):
        answer = evaluate(head, request)
        if isinstance(answer, Accepted):
            accepted = audit_entry(answer.event, version=answer.version, to=answer.to)
            _, moved = seal(head, accepted, MODEL, by=BY, now=START)
            assert serving(moved) == answer.serves
            assert moved.generation == head.generation + 1
            assert version_stage(moved, answer.serves) is VersionStage.PRODUCTION
    assert fold(records) == head, "an evaluation changes nothing"


@given(histories, st.sampled_from(VERSIONS), st.integers(0, 30))
def test_a_request_based_on_another_generation_is_rejected(entries: list[AuditEntry], version: str, seen: int) -> None:
    head = after(*entries)
    for request in (Promote(version, seen), RollBack(version, seen), RollBack(None, seen)):
        if seen != head.generation:
            answer = evaluate(head, request)
            assert isinstance(answer, Rejected)
            assert f"generation {head.generation}, not {seen}" in answer.message


@given(histories)
def test_every_version_has_a_stage_and_at_most_one_is_in_production(entries: list[AuditEntry]) -> None:
    head = after(*entries)
    stages = {version: version_stage(head, version) for version in VERSIONS}
    assert [version for version, stage in stages.items() if stage is VersionStage.PRODUCTION] == (
        [serving(head)] if serving(head) else []
    )


def test_a_second_rollback_goes_further_back_never_to_the_bad_version() -> None:
    head = after(promoted("1.0.0"), promoted("2.0.0"), promoted("3.0.0"), rolled_back("3.0.0", "2.0.0"))
    assert evaluate(head, RollBack()) == Accepted(AuditEvent.ROLLED_BACK, "2.0.0", "1.0.0")
    assert isinstance(evaluate(head, RollBack("3.0.0")), Rejected)
    assert isinstance(evaluate(head, Promote("3.0.0")), Rejected)
    assert version_stage(head, "3.0.0") is VersionStage.ROLLED_BACK


def test_a_bad_version_without_rollback_target_serves_on_and_is_never_a_target_later() -> None:
    head = after(promoted("1.0.0"), rolled_back("1.0.0"))
    assert serving(head) == "1.0.0"
    head = after(promoted("1.0.0"), rolled_back("1.0.0"), promoted("2.0.0"))
    assert head.good == ()
    assert head.quarantined == ("1.0.0",)


def test_a_candidate_that_is_rolled_back_leaves_production_as_it_is() -> None:
    started = audit_entry(AuditEvent.ROLLOUT_STARTED, version="2.0.0", traffic="0%")
    shifted = audit_entry(AuditEvent.TRAFFIC_SHIFTED, version="2.0.0", traffic="5%")
    strange = audit_entry(AuditEvent.TRAFFIC_SHIFTED, version="3.0.0", traffic="50%")
    head = after(promoted("1.0.0"), started)
    assert version_stage(head, "2.0.0") is VersionStage.STAGING
    head = after(promoted("1.0.0"), started, shifted, strange)
    assert head.candidate is not None
    assert (head.candidate.version, head.candidate.traffic) == ("2.0.0", "5%")
    assert version_stage(head, "2.0.0") is VersionStage.CANARY
    head = after(promoted("1.0.0"), started, shifted, rolled_back("2.0.0", "1.0.0"))
    assert (serving(head), head.candidate, head.generation) == ("1.0.0", None, 1)


def test_a_lifted_quarantine_lets_a_version_serve_again() -> None:
    head = after(promoted("1.0.0"), promoted("2.0.0"), rolled_back("2.0.0", "1.0.0"))
    assert isinstance(evaluate(head, Promote("2.0.0")), Rejected)
    lifted = audit_entry(AuditEvent.QUARANTINE_LIFTED, version="2.0.0")
    head = after(promoted("1.0.0"), promoted("2.0.0"), rolled_back("2.0.0", "1.0.0"), lifted)
    assert evaluate(head, Promote("2.0.0")) == Accepted(AuditEvent.PROMOTED, "2.0.0")


def test_the_lists_of_a_head_are_bounded_and_the_oldest_goes_first() -> None:
    many = [f"{number}.0.0" for number in range(MAX_GOOD + 3)]
    head = after(*map(promoted, many))
    assert head.good == tuple(reversed(many))[1 : MAX_GOOD + 1]
    head = after(promoted("0.0.1"), *(rolled_back(version, "0.0.1") for version in many))
    assert head.quarantined == tuple(reversed(many))[:MAX_QUARANTINED]
    assert head.recent[0].sequence == len(many) + 1
    assert len(head.recent) == MAX_RECENT


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"through": "2"},
        {"through": "-1", "hash": "sha256:0", "archive": ""},
        {"through": "two", "hash": "sha256:0", "archive": ""},
        {"through": "²", "hash": "sha256:0", "archive": ""},
        {"through": "99", "hash": "sha256:0", "archive": ""},
        {"through": "1", "hash": "sha256:0", "archive": ""},
    ],
    ids=["nothing said", "no hash", "negative", "a word", "a strange digit", "of the future", "less than before"],
)
def test_an_invalid_record_of_pruning_prunes_nothing(details: dict[str, str]) -> None:
    valid = {"through": "2", "hash": "sha256:2", "archive": "s3://archive/2"}
    first = [promoted("1.0.0"), promoted("2.0.0"), audit_entry(AuditEvent.RECORDS_PRUNED, details=valid)]
    head = after(*first, audit_entry(AuditEvent.RECORDS_PRUNED, details=details))
    assert (head.audit.pruned_through, head.audit.pruned_hash, head.audit.archive) == (2, "sha256:2", "s3://archive/2")
    assert head.audit.sequence == 4


@pytest.mark.parametrize("event", AuditEvent)
def test_a_record_without_a_version_moves_no_version(event: AuditEvent) -> None:
    head = after(promoted("1.0.0"), promoted("2.0.0"))
    fields: dict[str, Any] = {"to": "1.0.0"} if event is AuditEvent.ROLLED_BACK else {}
    moved = after(promoted("1.0.0"), promoted("2.0.0"), audit_entry(event, version="", **fields))
    assert (serving(moved), moved.good, moved.quarantined) == (serving(head), head.good, head.quarantined)
    assert decode(ModelStatus, encode(moved), "status").audit.sequence == 3


def test_the_head_says_who_made_a_version_the_production_version_and_why() -> None:
    promoted_by_hand = audit_entry(AuditEvent.PROMOTED, version="1.0.0", reason="the first one")
    head = after(promoted_by_hand)
    assert head.production == ProductionVersion(
        version="1.0.0",
        since=START,
        promoted_at=START,
        promoted_by=promoted_by_hand.actor.name,
        promoted_because="the first one",
    )
    run = audit_entry(
        AuditEvent.PROMOTED,
        version="2.0.0",
        message="2.0.0 serves 100%.",
        details={PROMOTED_BY: "ada", PROMOTED_BECAUSE: "retrained on October"},
    )
    by_run = after(promoted_by_hand, run).production
    assert by_run is not None
    assert (by_run.promoted_by, by_run.promoted_because) == ("ada", "retrained on October")
    automatic = audit_entry(
        AuditEvent.ROLLED_BACK, version="2.0.0", to="1.0.0", reason="", message="latency_p95 412ms > 200ms"
    )
    back = after(promoted_by_hand, run, automatic).production
    assert back is not None
    assert (back.version, back.promoted_because) == ("1.0.0", "latency_p95 412ms > 200ms")


def test_a_record_of_an_earlier_release_says_nothing_of_who_promoted() -> None:
    """So that the heads that it wrote still equal the fold of their chains."""
    record, head = seal(Head(), promoted("1.0.0"), MODEL, by=BY, now=START)
    earlier = structs.replace(record, details={})
    assert head.production is not None
    assert fold([earlier]).production == structs.replace(head.production, promoted_by="", promoted_because="")
