"""Eight rollouts for ten hours, judged by the oracle; and wrong behaviours that the oracle must find in them.

``make soak`` is the same with 200 rollouts for a week.
"""

from functools import lru_cache

import pytest

from support.soak.defects import DEFECTS, Defect
from support.soak.facts import Trouble
from support.soak.recording import Recording, judged, record
from support.soak.simulation import Settings

SAMPLE = Settings(rollouts=8, days=0.4, seed=6, pace=4.0)


@lru_cache(maxsize=1)
def recorded() -> Recording:
    return record(SAMPLE)


def test_no_outcome_is_wrong_in_ten_hours_of_eight_rollouts() -> None:
    assert [str(finding) for finding in recorded().oracle.findings] == []


def test_the_sample_has_what_the_oracle_judges() -> None:
    counts, weather = recorded().oracle.counts, recorded().simulation.weather
    assert counts["Promoted"] >= 10
    assert counts["RolledBack"] >= 10
    assert counts["good versions judged"] >= 10
    assert set(weather.begun) == set(Trouble)


def test_nothing_waits_when_all_is_done() -> None:
    queues = recorded().simulation.gauges.queues
    assert (queues["rollouts"][-1], queues["models"][-1], queues["background tasks"][-1]) == (0, 0, 0)
    assert max(queues["rollouts"]) <= SAMPLE.rollouts


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)
def test_the_oracle_finds(defect: Defect) -> None:
    rules = {finding.rule for finding in judged(defect(recorded().facts))}
    assert DEFECTS[defect] in rules
