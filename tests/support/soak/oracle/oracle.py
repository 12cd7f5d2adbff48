"""The oracle itself: takes the facts in order and says which outcomes are wrong."""

from collections import Counter
from math import comb

from serinus.api.rollout_status import RolloutStatus
from support.soak.facts import (
    WRITES,
    Applied,
    Commanded,
    Counted,
    Deleting,
    Endpoints,
    Fact,
    Frozen,
    Gone,
    Looked,
    Recorded,
    StatusWritten,
    Trouble,
    Troubled,
    Weights,
    Wished,
    Yanked,
)
from support.soak.oracle import bounds, outcomes, statuses, trail, weights
from support.soak.oracle.calm import Calm, Debts
from support.soak.oracle.case import Case, Finding
from support.soak.oracle.state import EXACT, Model

_UNLIKELY = 0.001
"""More false aborts than have this chance at the documented bound are wrong."""


class Oracle:
    """Judges a whole simulation.

    Attributes:
        findings: the wrong outcomes, in order.
        counts: runs, promotions, rollbacks and what else was counted.
    """

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.counts: Counter[str] = Counter()
        self._calm = Calm()
        self._cases: dict[str, Case] = {}
        self._trails: dict[str, trail.Trail] = {}

    def take(self, fact: Fact) -> None:  # noqa: C901, PLR0912 - one line for each kind of fact
        """Take the next fact."""
        match fact:
            case Troubled():
                self._calm.take(fact)
                if fact.kind is Trouble.CLOCK:
                    self._collect_anew(fact.at)
                elif fact.kind is Trouble.OPERATOR and not fact.on:
                    self._read_again()
                return
            case Looked():
                self._looked(fact.at)
                return
            case _:
                case_ = self._case(fact.model)
        model = case_.model
        match fact:
            case Weights():
                weights.take(case_, fact)
            case Counted():
                outcomes.counted(case_, fact)
            case StatusWritten() if fact.uid == model.uid:
                statuses.take(case_, fact)
            case Recorded():
                trail.take(case_, self._trails.setdefault(fact.model, trail.Trail()), fact.record, fact.at)
            case Applied():
                self.counts["versions"] += 1
                model.qualities[fact.version] = fact.quality
            case Wished():
                _wished(case_, fact)
            case Commanded():
                _commanded(case_, fact)
            case Yanked():
                _yanked(case_, fact)
            case Endpoints():
                _endpoints(model, fact)
            case Frozen():
                model.frozen_at, model.unfrozen_at = (fact.at, model.unfrozen_at) if fact.on else (None, fact.at)
            case Deleting():
                model.deleting = True
                model.debts.drop("command answered", "run begun")
            case Gone():
                _gone(case_, fact)
            case _:
                pass

    def finish(self) -> None:
        """Judge what only the whole shows."""
        judged, aborted = self.counts["good versions judged"], self.counts["false aborts"]
        if aborted and _at_least(aborted, judged, bounds.FALSE_ABORTS) < _UNLIKELY:
            message = f"{aborted} of {judged} good versions were aborted"
            self.findings.append(Finding(0.0, "", "false aborts", message))

    def _case(self, name: str) -> Case:
        if name not in self._cases:
            model = Model(name, self._calm, Debts(name, self._calm))
            self._cases[name] = Case(model, self.findings.append, self.counts)
        return self._cases[name]

    def _collect_anew(self, at: float) -> None:
        for case in self._cases.values():
            if case.model.trial is not None:
                case.model.trial.collect_anew(at)

    def _read_again(self) -> None:
        """An operator that starts reads the evidence of a stage from the stage's beginning (docs/how-to/upgrade.md)."""
        for case in self._cases.values():
            if case.model.trial is not None:
                case.model.trial.anew_at = float("-inf")

    def _looked(self, at: float) -> None:
        for case in self._cases.values():
            for debt in case.model.debts.overdue(at):
                case.find(at, debt.rule, f"{debt.claim}: not after {at - debt.since:.0f} s")
            outcomes.looked(case, at)
            statuses.looked(case, at)
            _without_endpoints(case, at)


def _endpoints(model: Model, fact: Endpoints) -> None:
    if fact.ready == 0 or model.endpoints.get(fact.version) == 0:
        model.endpoints_at[fact.version] = fact.at
        if model.trial is not None:
            model.trial.disturbed = True
    model.endpoints[fact.version] = fact.ready


def _wished(case: Case, fact: Wished) -> None:
    model = case.model
    if fact.uid != model.uid:
        model.uid, model.status, model.deleting = fact.uid, RolloutStatus(), False
        model.commands.clear()
    if fact.version != model.wished or model.trial is None:
        model.debts.drop("run begun")
    if model.trial is not None:
        model.trial.disturbed = True
        model.trial.worse = 0
    model.wished, model.wished_at = fact.version, fact.at
    model.plans.append(fact.plan)


def _commanded(case: Case, fact: Commanded) -> None:
    model = case.model
    model.commands[fact.verb] = fact.at
    claim = f"{fact.verb} {fact.token} must be answered"
    model.debts.drop_one(("command answered", fact.verb))
    patience = bounds.ANSWERED
    case.owe(("command answered", fact.verb), claim, fact.at, patience, WRITES | {Trouble.GATEWAY})
    trial = case.trial
    if trial is not None and fact.verb not in {"resume", "promote"}:
        trial.disturbed = True
    if trial is not None and fact.verb == "promote":
        trial.approved = True
    if fact.verb == "retry":
        model.quarantined.discard(model.wished)
    if fact.verb in {"abort", "rollback"} and trial is not None and _could_go_back(case, trial.version, fact.at):
        case.owe_safety(trial.version, f"a person asked for {fact.verb}", fact.at, by_evidence=False)


def _could_go_back(case: Case, version: str, at: float) -> bool:
    stable = case.model.status.stable
    return stable is not None and stable.version != version and not case.model.lost_endpoints(stable.version, at)


def _yanked(case: Case, fact: Yanked) -> None:
    case.model.yanked[fact.version] = fact.at
    trial = case.trial
    if trial is not None and trial.version == fact.version and _could_go_back(case, fact.version, fact.at):
        trial.disturbed = True
        case.owe_safety(fact.version, "it was yanked", fact.at, by_evidence=False)


def _without_endpoints(case: Case, at: float) -> None:
    model, trial = case.model, case.trial
    if trial is None or model.endpoints.get(trial.version, 1) or not _could_go_back(case, trial.version, at):
        return
    since = max(model.endpoints_at[trial.version], trial.granted_at) + bounds.NO_ENDPOINTS
    if at > since:
        case.owe_safety(trial.version, "it has no ready endpoints", since, by_evidence=False)


def _gone(case: Case, fact: Gone) -> None:
    model, trial = case.model, case.trial
    if fact.uid != model.uid:
        return
    if (
        trial is not None
        and model.shares.get(trial.version, 0.0) > EXACT
        and _could_go_back(case, trial.version, fact.at)
    ):
        share = model.shares[trial.version]
        case.find(fact.at, "contained", f"the Rollout is gone and {trial.version} still has {share:g} %")
    model.uid, model.trial, model.wished = "", None, ""
    model.status = RolloutStatus()
    model.debts.drop("command answered", "run begun", "safe weight", "start recorded", "shift recorded", "end recorded")


def _at_least(number: int, of: int, chance: float) -> float:
    """Return the chance of at least so many of the independent events."""
    return 1 - sum(comb(of, k) * chance**k * (1 - chance) ** (of - k) for k in range(number))
