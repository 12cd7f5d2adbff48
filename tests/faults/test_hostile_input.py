"""Hostile input against a running operator: a sample of what ``make test-hostile`` plays."""

from pathlib import Path

from localcluster.client import Cluster
from support.e2e.servers import ModelServer
from support.hostile.cases import all_cases, sample
from support.hostile.stage import played_beside
from support.hostile.world import full_objects

CASES, SEED = 40, 20261129


async def test_hostile_input_is_refused_or_named_or_followed(
    cluster: Cluster, servers: dict[str, ModelServer], tmp_path: Path
) -> None:
    cases = sample(all_cases(full_objects()), CASES, SEED)
    findings = await played_beside(cluster, cases, tmp_path, servers)
    assert findings.problems == []
    assert findings.outcomes.keys() == {str(case) for case in cases}
    assert findings.decisions > 0
