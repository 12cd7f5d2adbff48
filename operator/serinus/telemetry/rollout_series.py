"""What each Rollout has in the exposition, written from its status at the time of a scrape.

These series are kept nowhere: they cost nothing between two scrapes and end with their Rollout. They are written as
text here because prometheus_client takes 17 microseconds a sample, too long for 10,000 Rollouts; this takes one or two.

Every label is bounded: a Rollout has one stage, two versions, at most ten conditions.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final

from serinus.api.abort_condition import parse_abort_condition
from serinus.api.rollout_status import EvidenceStatus, RolloutStatus
from serinus.engine.rollout.modes import Stranded, mode_of
from serinus.ports.cluster_state import RolloutRecord

_ROLLOUT: Final = ("namespace", "name")
_CONDITION: Final = (*_ROLLOUT, "metric", "condition")

_SHOWN: Final = re.compile(r"(?P<number>-?[0-9][0-9,]*(?:\.[0-9]+)?)(?P<unit>ms|s|%|)")
_SCALE: Final = {"ms": 0.001, "s": 1.0, "%": 0.01, "": 1.0}


@dataclass(frozen=True, slots=True)
class Family:
    """A gauge with one series, or some, for each Rollout."""

    name: str
    help: str
    labels: tuple[str, ...]


INFO: Final = Family(
    "serinus_rollout_info",
    "1; the labels say which version serves, which is on trial and in which stage: empty where there is none.",
    (*_ROLLOUT, "stable", "candidate", "stage"),
)
PHASE: Final = Family(
    "serinus_rollout_phase", "1 for the phase that the Rollout is in; no series for the others.", (*_ROLLOUT, "phase")
)
STRANDED: Final = Family(
    "serinus_rollout_stranded",
    "1 while a bad version keeps its traffic because there is no version to go back to, else 0; only during a run.",
    _ROLLOUT,
)
STATE_AGE: Final = Family(
    "serinus_rollout_state_age_seconds",
    "How long the run has been in this state of its stage, held time left out.",
    (*_ROLLOUT, "state"),
)
WEIGHT: Final = Family(
    "serinus_rollout_weight_ratio",
    "Share of the traffic, 0 to 1: as the status wants it (desired), as the route has it while all of its gateways "
    "accept it (accepted), and of the latest requests (observed).",
    (*_ROLLOUT, "role", "source"),
)
CORRECTIONS: Final = Family(
    "serinus_rollout_weight_corrections",
    "How often in a row somebody else's change of the weights was put right.",
    _ROLLOUT,
)
VALUE: Final = Family(
    "serinus_analysis_value",
    "Last measured value of a condition, in seconds or as a ratio; at most a minute old while a stage runs.",
    _CONDITION,
)
THRESHOLD: Final = Family(
    "serinus_analysis_threshold",
    "Limit of a condition in the same unit; no series where it is compared with the stable version.",
    _CONDITION,
)
REQUESTS: Final = Family("serinus_analysis_requests", "Requests that the verdict rests on.", _CONDITION)
VERDICT: Final = Family(
    "serinus_analysis_verdict",
    "1 for the last verdict on a condition; cause says why it is Unknown.",
    (*_CONDITION, "verdict", "cause"),
)

FAMILIES: Final = (INFO, PHASE, STRANDED, STATE_AGE, WEIGHT, CORRECTIONS, VALUE, THRESHOLD, REQUESTS, VERDICT)


@dataclass(frozen=True, slots=True)
class RolloutFigures:
    """What is known of one Rollout.

    Attributes:
        record: the Rollout as it is stored.
        accepted: by role, the share that the route gives while its gateways accept it; empty where they do not.
        observed: by role, the share of the latest requests; empty where too few were seen.
    """

    record: RolloutRecord
    accepted: Mapping[str, float] = field(default_factory=dict)
    observed: Mapping[str, float] = field(default_factory=dict)


class RolloutExposition:
    """The text of all Rollouts' series, added one Rollout at a time."""

    def __init__(self, now: datetime) -> None:
        """Begin without series; ``now`` is the time that ages are reckoned to."""
        self._now = now
        self._lines: dict[str, list[str]] = {family.name: [] for family in FAMILIES}

    def add(self, figures: RolloutFigures) -> None:
        """Add the series of one Rollout."""
        key, status = figures.record.meta.key, figures.record.status
        rollout = f'namespace="{_escape(key.namespace)}",name="{_escape(key.name)}"'
        lines = self._lines
        lines[INFO.name].append(f"{INFO.name}{{{rollout},{_roles(status)}}} 1\n")
        lines[PHASE.name].append(f'{PHASE.name}{{{rollout},phase="{status.phase.value}"}} 1\n')
        if status.candidate is not None:
            stranded = int(isinstance(mode_of(status), Stranded))
            lines[STRANDED.name].append(f"{STRANDED.name}{{{rollout}}} {stranded}\n")
        if status.stage is not None:
            age = status.stage.elapsed_in_state(self._now).total_seconds()
            lines[STATE_AGE.name].append(
                f'{STATE_AGE.name}{{{rollout},state="{status.stage.state.value}"}} {age:.3f}\n'
            )
        if status.route is not None:
            lines[CORRECTIONS.name].append(f"{CORRECTIONS.name}{{{rollout}}} {status.route.corrections}\n")
        for role, source, share in _shares(figures):
            lines[WEIGHT.name].append(f'{WEIGHT.name}{{{rollout},role="{role}",source="{source}"}} {share:.6g}\n')
        for evidence in status.evidence:
            self._add_condition(rollout, evidence)

    def _add_condition(self, rollout: str, evidence: EvidenceStatus) -> None:
        lines = self._lines
        labels = f'{rollout},metric="{_escape(evidence.name)}",condition="{_escape(evidence.condition)}"'
        value, limit = in_base_units(evidence.value), _threshold(evidence.condition)
        if value is not None:
            lines[VALUE.name].append(f"{VALUE.name}{{{labels}}} {value:.9g}\n")
        if limit is not None:
            lines[THRESHOLD.name].append(f"{THRESHOLD.name}{{{labels}}} {limit:.9g}\n")
        lines[REQUESTS.name].append(f"{REQUESTS.name}{{{labels}}} {evidence.requests}\n")
        cause = evidence.cause.value if evidence.cause is not None else ""
        lines[VERDICT.name].append(f'{VERDICT.name}{{{labels},verdict="{evidence.verdict.value}",cause="{cause}"}} 1\n')

    def parts(self) -> Iterator[bytes]:
        """Yield it in the text exposition format, family by family."""
        for family in FAMILIES:
            head = f"# HELP {family.name} {family.help}\n# TYPE {family.name} gauge\n"
            yield "".join((head, *self._lines[family.name])).encode()


def _roles(status: RolloutStatus) -> str:
    stable = status.stable.version if status.stable is not None else ""
    candidate = status.candidate.version if status.candidate is not None else ""
    stage = status.stage.name if status.stage is not None else ""
    return f'stable="{_escape(stable)}",candidate="{_escape(candidate)}",stage="{_escape(stage)}"'


def _shares(figures: RolloutFigures) -> Iterator[tuple[str, str, float]]:
    status = figures.record.status
    for role, serving in (("stable", status.stable), ("candidate", status.candidate)):
        if serving is not None:
            yield role, "desired", serving.weight / 100
    for source, shares in (("accepted", figures.accepted), ("observed", figures.observed)):
        for role, share in shares.items():
            yield role, source, share


@lru_cache(maxsize=2**12)
def in_base_units(shown: str) -> float | None:
    """Return a value of the status in seconds, as a ratio or as it is; None where the text is another one.

    ``412ms`` is 0.412, ``0.21%`` is 0.0021, ``1,843`` is 1843, ``infinite`` is infinite. ``37% over 200ms`` is the
    share of slow requests instead of a latency, so it is not comparable with the limit.
    """
    if shown == "infinite":
        return math.inf
    parts = _SHOWN.fullmatch(shown)
    return float(parts["number"].replace(",", "")) * _SCALE[parts["unit"]] if parts is not None else None


@lru_cache(maxsize=2**12)
def _threshold(line: str) -> float | None:
    try:
        condition = parse_abort_condition(line)
    except ValueError:  # a status that another version has written
        return None
    return None if condition.compared else condition.threshold


def _escape(value: str) -> str:
    """Escape a label value as the text exposition format wants it."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
