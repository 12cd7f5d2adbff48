"""The status reference lists every word that a script or an alert may depend on, and no other."""

import re
from pathlib import Path

from serinus.api.audit_record import AuditEvent
from serinus.api.conditions import ConditionType
from serinus.api.modelversion import VersionStage
from serinus.api.names import Command
from serinus.api.rollout_status import Phase, RollbackReason, RunResult, StageState, TestResult
from serinus.api.verdict import Cause, Verdict
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.waiting import WaitReason
from serinus.engine.schema.compatibility import Reason

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/status-and-events.md").read_text(encoding="utf-8")
WORDS = set(re.findall(r"`([A-Za-z]+)`", PAGE))


def reasons_in_the_code() -> set[str]:
    """Return the condition reasons that are not in an enum."""
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "operator/serinus").rglob("*.py"))
    updates = re.findall(
        r"ConditionUpdate\(\s*[\w.]+,\s*[^\"()]*?\"([A-Z][A-Za-z]+)\"(?: if [^\"]+? else \"([A-Z]\w+)\")?", sources
    )
    return {
        *re.findall(r"reason=\"([A-Z][A-Za-z]+)\"", sources),
        *(reason for pair in updates for reason in pair if reason),
    }


def words_of_the_api() -> set[str]:
    enums = (
        AuditEvent,
        VersionStage,
        ConditionType,
        Command,
        Cause,
        Phase,
        RollbackReason,
        RunResult,
        StageState,
        TestResult,
        Verdict,
        EventReason,
        Reason,
        WaitReason,
    )
    return {member.value for enum in enums for member in enum} | reasons_in_the_code()


def test_every_word_of_the_api_is_on_the_page() -> None:
    assert {"WriteRefused", "NothingToConfirm", "RegistrySlow"} <= reasons_in_the_code()
    assert words_of_the_api() - WORDS == set()


def test_every_capitalised_word_on_the_page_is_in_the_code() -> None:
    others = {"WaitingForVersion", "Promoted", "Adopted", "NoRollbackTarget", "Rollout", "Model", "ModelVersion"}
    assert {word for word in WORDS if word[0].isupper()} - words_of_the_api() - others == set()


def test_every_cause_of_an_unknown_verdict_is_a_reason_to_wait() -> None:
    assert {WaitReason.of_cause(cause).value for cause in Cause} == {cause.value for cause in Cause}
