"""The report as a whole: live versions, the bound by time, and the treatment of a chain that does not verify."""

from dataclasses import replace
from datetime import timedelta

import pytest
from msgspec import structs

from serinus.api.modelversion import VersionStage
from serinus.engine.audit.chain import Anchor, ChainFault, ChainFinding
from serinus.engine.report.compile import AuditReport
from serinus.engine.report.periods import PeriodKind
from support.audit.history_builder import History
from support.audit.sample_histories import a_first_version, a_year
from support.audit.specs import BEGIN, MODEL, digest_of_bytes


def grave(report: AuditReport) -> list[str]:
    return [item.message for item in report.items if item.grave]


def test_the_version_in_production_is_named_with_its_day_and_its_bytes() -> None:
    report = a_year().report()
    assert report.live is not None
    assert report.live.version == "2.6.1"
    assert report.live.digest == digest_of_bytes("2.6.1")
    assert report.since == report.periods[-1].begin
    assert report.proof.ok
    assert report.later == 0


def test_the_version_on_trial_is_named_with_its_share_and_stage() -> None:
    trial = a_year().report().trial
    assert (trial.candidate, trial.traffic, trial.stage) == ("2.7.0", "5%", "canary")


def test_a_model_without_records_has_an_empty_report() -> None:
    report = History().report()
    assert report.live is None
    assert (report.periods, report.versions, report.runs, report.rollbacks) == ((), (), (), ())
    assert report.described_by is None
    assert report.governance.owner is None


def test_as_of_leaves_out_all_that_is_later_but_verifies_the_whole_chain() -> None:
    history = a_year()
    whole = history.report()
    at = whole.periods[3].begin
    assert at is not None
    past = history.report(at + timedelta(days=1))
    assert past.live is not None
    assert past.live.version == whole.periods[3].version == "2.2.0"
    assert past.proof == whole.proof
    assert past.records + past.later == whole.records
    assert {story.version for story in past.versions} == {"2.0.0", "2.1.0", "2.2.0"}
    assert past.rollbacks == ()
    assert past.periods[-1].end is None


def test_a_version_that_is_superseded_today_was_in_production_as_of_then() -> None:
    history = a_year()
    past = history.report(BEGIN + timedelta(days=5))
    assert {story.version: story.stage for story in past.versions} == {"2.0.0": VersionStage.PRODUCTION}


def test_an_altered_record_is_the_gravest_item() -> None:
    history = a_first_version()
    stored = history.stored
    stored[1] = replace(stored[1], content={**stored[1].content, "message": "another message"})
    report = history.report(records=stored)
    assert [finding.fault for finding in report.proof.findings] == [ChainFault.ALTERED, ChainFault.BROKEN]
    assert grave(report) == ["The chain does not verify: 2 findings."]


def test_a_record_that_cannot_be_read_is_left_out_and_reported() -> None:
    history = a_first_version()
    stored = history.stored
    stored[1] = replace(stored[1], content={k: v for k, v in stored[1].content.items() if k != "actor"})
    report = history.report(records=stored)
    assert report.proof.unreadable == (2,)
    assert report.records == 2
    assert "1 record missing or unreadable: what they told is not on this page." in grave(report)


def test_a_missing_record_makes_an_unknown_period() -> None:
    history = a_year()
    stored = [record for record in history.stored if not 30 <= record.sequence < 50]
    report = history.report(records=stored)
    unknown = [period for period in report.periods if period.kind is PeriodKind.UNKNOWN]
    assert [period.begin for period in unknown] == [history.records[28].at]
    assert [period.end for period in unknown] == [history.records[49].at]
    assert report.proof.unreadable == tuple(range(30, 50))
    assert "There are times for which nobody can tell what was in production." in grave(report)


def test_a_head_with_another_version_than_the_chain_is_found() -> None:
    history = a_year()
    production = history.head.production
    assert production is not None
    head = structs.replace(history.head, production=structs.replace(production, version="2.0.0"))
    assert [finding.fault for finding in history.report(head=head).proof.findings] == [ChainFault.HEAD_DIFFERS]


def test_removed_records_are_reported_and_the_rest_still_verifies() -> None:
    report = a_year().prune(30).report()
    assert report.proof.ok
    assert report.periods[0].begin is None
    assert report.periods[0].version == "2.2.0"
    assert any("Records 1 to 30 were removed by retention" in item.message for item in report.items)


def test_a_checkpoint_proves_the_chain_and_one_that_has_seen_another_is_a_finding() -> None:
    history = a_first_version()
    seen = Anchor(2, history.records[1].hash, "s3://audit/2")
    proven = history.report(anchors=[seen])
    assert proven.proof.ok
    assert proven.proof.anchors == (seen,)
    assert not any("no checkpoint" in item.message for item in proven.items)
    other = history.report(anchors=[Anchor(2, history.records[0].hash, "s3://audit/2")])
    assert [finding.fault for finding in other.proof.findings] == [ChainFault.CHECKPOINT_DIFFERS]


def test_a_defect_of_a_checkpoint_itself_is_a_finding_of_the_report() -> None:
    unsigned = ChainFinding(ChainFault.CHECKPOINT_UNSIGNED, 0, "s3://audit/9 is not signed by the key given")
    report = a_first_version().report(findings=[unsigned])
    assert report.proof.findings == (unsigned,)
    assert not report.proof.ok


@pytest.mark.parametrize("forward", [True, False])
def test_the_order_in_which_a_store_lists_versions_does_not_matter(forward: bool) -> None:  # noqa: FBT001 - a parameter
    history = a_year()
    entries = list(history.entries.values())
    assert history.report(entries=entries if forward else entries[::-1]) == history.report()


def test_the_report_names_its_model() -> None:
    assert a_first_version().report().model == MODEL
