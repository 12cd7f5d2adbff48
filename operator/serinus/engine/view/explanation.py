"""Why a condition was or was not a breach, and why a Rollout waits, in words."""

from datetime import datetime
from typing import assert_never

from msgspec import Struct

from serinus.api.abort_condition import AbortCondition, parse_abort_condition
from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from serinus.api.modelversion import BackendRef
from serinus.api.rollout import Stage
from serinus.api.rollout_status import Phase, RolloutStatus
from serinus.api.verdict import Verdict
from serinus.engine.analysis import text
from serinus.engine.view.checks import CheckView, Mark, checks_of
from serinus.engine.view.silence import silence
from serinus.engine.view.standing import Standing, Subject, standing_of


class Explanation(Struct, frozen=True, kw_only=True):
    """Why a Rollout is where it is.

    Attributes:
        headline: what happened, in a sentence or two.
        waits: why it does not go on, one sentence each; empty where it does not wait.
        checks: the conditions that decided, or that are awaited; with what they mean.
        version: whose figures they are.
        backend: where that version serves; None where the status does not say.
        stable_backend: likewise of the stable version.
        begin: when the stage began (UTC).
        end: up to when the figures go (UTC).
    """

    headline: str
    waits: tuple[str, ...]
    checks: tuple[tuple[CheckView, str], ...]
    version: str
    backend: BackendRef | None
    stable_backend: BackendRef | None
    begin: datetime | None
    end: datetime


def explanation_of(subject: Subject, now: datetime, *, everything: bool = False) -> Explanation:
    """Return why the Rollout is where it is; with ``everything`` of all conditions, not only those that decided."""
    status = subject.status
    checks = checks_of(subject.spec, status)
    chosen = checks if everything else deciding(checks, status)
    tried = status.candidate or status.stable
    end = status.rollback.decided_at if status.rollback is not None else max((one.at for one in checks), default=now)
    return Explanation(
        headline=status.summary or "The operator has not said anything of this Rollout yet.",
        waits=_waits(subject, now),
        checks=tuple((check, why(check, _stage(subject))) for check in chosen),
        version=tried.version if tried is not None else "",
        backend=tried.backend if tried is not None else None,
        stable_backend=status.stable.backend if status.stable is not None else None,
        begin=status.stage.since if status.stage is not None else None,
        end=end,
    )


def deciding(checks: tuple[CheckView, ...], status: RolloutStatus) -> tuple[CheckView, ...]:
    """Return the condition that decided, or those that are awaited; all where none stands out, as after an abort."""
    if status.rollback is not None:
        # The line in the status is as written, that of the rollback in normal form.
        line = _meaning(status.rollback.condition)
        found = tuple(one for one in checks if line is not None and _meaning(one.condition) == line)
        return found or tuple(one for one in checks if one.mark is Mark.BAD) or checks
    open_ones = tuple(one for one in checks if one.mark is not Mark.GOOD)
    return open_ones or checks


def _meaning(line: str) -> object:
    try:
        return parse_abort_condition(line).meaning
    except ValueError:
        return None


def _stage(subject: Subject) -> Stage | None:
    spec, current = subject.spec, subject.status.stage
    if spec is None:
        return None
    index = current.index if current is not None else len(spec.stages) - 1
    return spec.stages[index] if index < len(spec.stages) else None


# ---- one condition ----------------------------------------------------------------------------------


def why(check: CheckView, stage: Stage | None) -> str:
    """Return why this verdict, so that it can be understood without the documentation of the statistics."""
    condition = parse_abort_condition(check.condition)
    rule = _rule(check, condition, stage)
    match check.verdict:
        case Verdict.BREACH:
            return f"It is a breach. {rule}"
        case Verdict.PASS:
            return f"It is not a breach, and the stage may pass. {rule}"
        case Verdict.UNKNOWN:
            return f"It is neither a breach nor a pass yet. {rule}"
        case _:
            assert_never(check.verdict)


def _rule(check: CheckView, condition: AbortCondition, stage: Stage | None) -> str:
    if check.needed is not None:
        return _by_evidence(check, condition, check.needed)
    watched = f" for {stage.for_}" if stage is not None else ""
    return f"The value is compared with the limit: it is a breach once it has been {check.limit}{watched}."


def _by_evidence(check: CheckView, condition: AbortCondition, needed: float) -> str:
    figure = check.evidence
    so_far = f"The evidence E is {text.evidence(figure)}" if figure is not None else "There is no evidence yet"
    needed_text = text.number(needed)
    return (
        f"{so_far}; {needed_text} are a breach. With {_tolerated(condition)}, E reaches {needed_text} in at most 1 of "
        f"{needed_text} runs, however often one looks."
    )


def _tolerated(condition: AbortCondition) -> str:
    share = condition.tolerated
    if share is None:
        return "a version within its limit"
    if condition.compared:
        return "a version that is worse than the stable one by no more than the margin"
    what = text.fault(condition)
    return f"a version of which at most {text.percent(share)} of the requests {what}"


# ---- waiting ----------------------------------------------------------------------------------------


def _waits(subject: Subject, now: datetime) -> tuple[str, ...]:
    """Return why nothing goes on, and who must act; the conditions that are not as they should be have their say."""
    status, standing = subject.status, standing_of(subject)
    if not subject.observed:
        return (f"The operator has not seen generation {subject.generation} yet: is it running?",)
    if standing is Standing.HEALTHY or status.phase is Phase.ROLLED_BACK:
        return ()
    unwatched = silence(subject.spec, status, now)
    said = f"{status.reason}: {status.next_action}" if status.next_action else ""
    lines = [line for line in (unwatched or said,) if line]
    if subject.spec_problem:
        lines.append(subject.spec_problem)
    for kind in (
        ConditionType.METRICS_AVAILABLE,
        ConditionType.TRAFFIC_CONFIRMED,
        ConditionType.BACKENDS_READY,
        ConditionType.ROLLBACK_READY,
    ):
        found = find_condition(status.conditions, kind)
        if found is not None and found.status is ConditionStatus.FALSE and found.message not in status.next_action:
            lines.append(f"{kind.value} is False ({found.reason}): {found.message}")
    return tuple(lines)
