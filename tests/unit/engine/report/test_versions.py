"""The section of each version, the open items, and the actors."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from serinus.api.audit_record import AuditEvent
from serinus.api.modelversion import Bump, VersionStage
from serinus.engine.report.compile import AuditReport
from serinus.engine.report.facts import FactsSource
from serinus.engine.report.people import Departure, vouched_for
from serinus.engine.report.versions import ArtifactState, VersionStory
from support.audit.history_builder import Held, History
from support.audit.sample_histories import SCHEMA_MAJOR, SCHEMA_MINOR, a_first_version, a_year
from support.audit.specs import ALICE, BOB, NOBODY, a_version_spec, an_entry, digest_of_bytes


def the_version(report: AuditReport, version: str) -> VersionStory:
    return next(story for story in report.versions if story.version == version)


def a_model(**fields: Any) -> History:
    return History().register("1.0.0", **fields).verify_artifact("1.0.0").adopt("1.0.0").wait(days=1)


def items(history: History) -> set[str]:
    return {item.message for item in history.report().items}


def test_versions_are_in_semver_order_newest_first() -> None:
    history = a_model()
    for version in ("1.10.0", "1.9.0", "1.10.0-rc.1"):
        history.register(version)
    assert [story.version for story in history.report().versions] == ["1.10.0", "1.10.0-rc.1", "1.9.0", "1.0.0"]


def test_a_version_says_how_long_it_was_in_production_in_all() -> None:
    report = a_year().report()
    story = the_version(report, "2.5.1")
    lengths = [period.length(report.as_of) for period in report.periods if period.version == "2.5.1"]
    assert len(lengths) == 2
    assert story.in_production == sum((one for one in lengths if one is not None), timedelta(0))
    assert the_version(report, "2.7.0").in_production is None


def test_the_declared_and_the_required_bump_are_shown_together() -> None:
    schema = the_version(a_year().report(), "2.5.0").schema
    assert (schema.against, schema.declared, schema.required) == ("2.4.2", Bump.MINOR, Bump.MAJOR)
    assert [(line.path, line.rule, line.bump) for line in schema.changes] == [
        ("inputs.amount.dtype", "I7", Bump.MAJOR),
        ("outputs.score.range", "O9", Bump.MINOR),
    ]
    assert schema.waiver is not None
    assert schema.waiver.actor == ALICE


def test_details_that_are_no_schema_changes_are_kept_beside_them() -> None:
    history = a_model().register("1.1.0", details={**SCHEMA_MINOR, "against": "1.0.0", "labels": "team=risk"})
    schema = the_version(history.report(), "1.1.0").schema
    assert schema.notes == (("labels", "team=risk"),)
    assert len(schema.changes) == 1


def test_a_version_is_not_compared_with_one_registered_later() -> None:
    history = a_model().register("2.0.0").wait(days=1).register("1.5.0")
    report = history.report()
    assert the_version(report, "2.0.0").schema.against == "1.0.0"
    assert the_version(report, "1.5.0").schema.against == "1.0.0"
    assert the_version(report, "1.0.0").schema.against == ""


def test_an_artifact_that_was_verified_for_other_bytes_is_grave() -> None:
    history = a_model()
    history.record(AuditEvent.ARTIFACT_VERIFIED, "1.0.0", digest=digest_of_bytes("other"))
    story = the_version(history.report(), "1.0.0")
    assert story.artifact is ArtifactState.OTHER_BYTES
    assert any(item.grave and "verified for another digest" in item.message for item in history.report().items)


def test_without_a_recorded_verification_the_artifact_does_not_count_as_bad() -> None:
    history = History().register("1.0.0").adopt("1.0.0")
    assert "Its artifact: verification not recorded." in items(history)
    assert not any(item.grave for item in history.report().items)


def test_the_last_verification_of_an_artifact_counts() -> None:
    history = a_model()
    history.record(AuditEvent.ARTIFACT_FAILED, "1.0.0", message="The bytes hash to something else.")
    assert the_version(history.report(), "1.0.0").artifact is ArtifactState.FAILED
    history.verify_artifact("1.0.0")
    assert the_version(history.report(), "1.0.0").artifact is ArtifactState.VERIFIED


def test_an_approval_for_other_bytes_is_grave_and_one_for_these_is_not() -> None:
    history = a_model().register("1.1.0").start("1.1.0")
    history.approve("1.1.0", "staging")
    history.approve("1.1.0", "staging", digest=digest_of_bytes("other"))
    history.shift("1.1.0", "canary", "5%")
    story = the_version(history.report(), "1.1.0")
    assert [(approval.bound, approval.vouched) for approval in story.approvals] == [(True, True), (False, True)]
    assert f"The approval by {BOB.name} was given for other bytes." in items(history)


def test_a_version_that_is_gone_keeps_all_its_facts_from_the_record() -> None:
    history = a_model()
    before = the_version(history.report(), "1.0.0")
    del history.entries["1.0.0"]
    story = the_version(history.report(), "1.0.0")
    assert story == before
    assert (story.source, story.stage) == (FactsSource.RECORD, VersionStage.PRODUCTION)
    assert story.entry is not None
    assert story.entry.spec == a_version_spec("1.0.0")


def test_a_version_made_anew_with_other_facts_is_shown_as_its_record_has_it() -> None:
    history = a_model()
    before = the_version(history.report(), "1.0.0")
    artifact = {"uri": "s3://evil/1.0.0.onnx", "digest": digest_of_bytes("evil")}
    history.entries["1.0.0"] = an_entry("1.0.0", history.now, artifact=artifact)
    assert the_version(history.report(), "1.0.0") == before


def test_a_record_of_an_earlier_release_proves_the_entry_by_its_hash() -> None:
    history = History().register("1.0.0", held=Held.HASH).adopt("1.0.0")
    story = the_version(history.report(), "1.0.0")
    assert (story.source, story.entry) == (FactsSource.PROVEN_ENTRY, history.entries["1.0.0"])


def test_an_entry_that_contradicts_its_record_is_grave_and_not_shown() -> None:
    history = History().register("1.0.0", held=Held.HASH).adopt("1.0.0")
    history.entries["1.0.0"] = an_entry("1.0.0", history.now, changes="another build")
    story = the_version(history.report(), "1.0.0")
    assert (story.source, story.entry) == (FactsSource.CONTRADICTED, None)
    replaced = "The registry's entry is not the version that the record registers: it was replaced."
    assert replaced in {item.message for item in history.report().items if item.grave}


def test_facts_that_no_record_vouches_for_are_shown_as_such() -> None:
    history = History().register("1.0.0", held=Held.NOTHING).adopt("1.0.0")
    story = the_version(history.report(), "1.0.0")
    assert (story.source, story.entry) == (FactsSource.ENTRY, history.entries["1.0.0"])
    note = "No record that is kept vouches for its facts: they are the registry's entry of today."
    assert note in items(history)


def test_a_version_without_an_entry_whose_record_holds_nothing_is_shown_and_reported() -> None:
    history = History().register("1.0.0", held=Held.NOTHING).adopt("1.0.0")
    del history.entries["1.0.0"]
    story = the_version(history.report(), "1.0.0")
    assert (story.entry, story.stage) == (None, VersionStage.PRODUCTION)
    assert "Its facts are not known: it is not in the registry, and its record holds none." in items(history)


def test_a_yank_that_was_taken_back_is_none() -> None:
    history = a_model()
    history.record(AuditEvent.VERSION_YANKED, "1.0.0", actor=ALICE, reason="trained on leaked data")
    history.record(AuditEvent.VERSION_UNYANKED, "1.0.0", actor=ALICE, reason="it was another data set")
    assert the_version(history.report(), "1.0.0").yanked == ""


# ---- open items -------------------------------------------------------------------------------


def test_a_complete_version_with_a_proven_chain_leaves_nothing_open_but_the_checkpoint() -> None:
    assert [item.message for item in a_first_version().report().items] == [
        "Not compared with any checkpoint: a chain rewritten as a whole would not be noticed."
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"artifact": {"uri": "s3://m/1"}}, "It names no artifact digest: nobody can tell which bytes served."),
        ({"signature": None}, "It has no signature: nobody can tell whether its clients can go back."),
        ({"lineage": None}, "Its lineage is incomplete: no code repository."),
        ({"lineage": {"code": {"repository": "r"}}}, "Its lineage is incomplete: no commit of the code."),
        ({"trainingData": []}, "Its lineage is incomplete: no training data."),
        ({"trainingData": [{"uri": "a"}]}, "Its lineage is incomplete: 1 of 1 data sets without a digest."),
        ({"governance": {"owner": "o", "purpose": "p", "limitations": "l", "riskTier": 2, "validatedBy": "v"}},
         "It names no review date."),
        ({"governance": {"reviewBy": "2026-03-02"}},
         "Its review was due on 2026-03-02 and no later version has taken its place."),
    ],
)  # fmt: skip
def test_missing_facts_of_a_deployed_version_are_open_items(fields: dict[str, Any], message: str) -> None:
    assert message in items(a_model(**fields))


def test_a_review_day_that_is_today_has_not_passed() -> None:
    history = a_model(governance={"reviewBy": "2026-03-03"})
    assert not any("review was due" in message for message in items(history))


def test_a_superseded_version_needs_no_review() -> None:
    history = a_model(governance={"reviewBy": "2026-03-02"}).register("1.1.0").verify_artifact("1.1.0").promote("1.1.0")
    assert not any("review was due" in message for message in items(history.wait(days=3)))


def test_a_version_that_must_not_serve_and_does_is_grave() -> None:
    history = a_model()
    history.record(AuditEvent.VERSION_YANKED, "1.0.0", actor=ALICE, reason="trained on leaked data")
    assert "It is marked never to serve again (trained on leaked data), yet it does." in items(history)


@pytest.mark.parametrize(
    ("event", "act"), [(AuditEvent.APPROVED, "promoted"), (AuditEvent.ROLLBACK_STARTED, "rolled back")]
)
def test_what_was_done_by_override_is_open(event: AuditEvent, act: str) -> None:
    history = a_model()
    reason = "payments are down"
    record = history.record(event, "1.0.0", actor=ALICE, reason=reason, details={"override": "true"})
    (found,) = (message for message in items(history) if "BY OVERRIDE" in message)
    assert found.startswith(f"{ALICE.name} {act} BY OVERRIDE")
    assert found.endswith(f"(#{record.sequence}): {reason}.")


# ---- people -----------------------------------------------------------------------------------


def test_names_that_nobody_vouches_for_come_first_and_are_open() -> None:
    history = a_model()
    history.record(AuditEvent.QUARANTINE_LIFTED, "1.0.0", actor=NOBODY)
    report = history.report()
    assert [vouched_for(person.actor) for person in report.people] == [False, True, True]
    assert "1 act by names that nobody vouches for: unverified." in items(history)


def test_of_many_names_that_nobody_vouches_for_three_are_named() -> None:
    history = a_model()
    for name in ("a", "b", "c", "d", "e"):
        history.record(AuditEvent.COMMAND_IGNORED, actor=structs.replace(NOBODY, name=name))
    assert "5 acts by names that nobody vouches for: a, b, c and 2 more." in items(history)


def test_actions_outside_the_plan_are_listed_in_order_with_their_kind() -> None:
    kinds = [(action.kind, action.record.event) for action in a_year().report().exceptional]
    assert kinds == [
        (Departure.CORRECTION, AuditEvent.TRAFFIC_DRIFT_CORRECTED),
        (Departure.WAIVER, AuditEvent.SCHEMA_WAIVED),
        (Departure.OVERRIDE, AuditEvent.QUARANTINE_LIFTED),
        (Departure.DIRECT, AuditEvent.ROLLED_BACK),
    ]


def test_the_details_of_a_forced_act_or_a_policy_change_are_shown_with_it() -> None:
    history = a_model()
    history.record(AuditEvent.POLICY_CHANGED, actor=ALICE, details={"verification": "Full"})
    history.record(AuditEvent.ROLLED_BACK, "1.1.0", to="1.0.0", actor=BOB, details={"forced": "true"})
    assert [action.facts for action in history.report().exceptional] == [
        (("verification", "Full"),),
        (("forced", "true"),),
    ]


def test_the_waived_schema_change_is_listed_once() -> None:
    assert len(the_version(a_year().report(), "2.5.0").schema.changes) == len(SCHEMA_MAJOR)
