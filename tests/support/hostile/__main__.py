"""``make test-hostile``: all cases, or a sample of them, in a local cluster; writes .hostile/result.json."""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from localcluster.client import Cluster
from support.hostile.cases import Case, all_cases, sample
from support.hostile.findings import Findings, Outcome
from support.hostile.stage import played
from support.hostile.world import full_objects

_RESULT: Final = Path(".hostile/result.json")
_CASES: Final = 2200
_SHOWN: Final = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the cases; the exit status is 1 where a law was broken."""
    parser = argparse.ArgumentParser(prog="python -m support.hostile", description=__doc__)
    parser.add_argument("--cases", type=int, default=_CASES, help="play a sample of so many cases; 0 for all")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--only", default="", help="play the cases whose name contains this text")
    options = parser.parse_args(arguments)
    cases = [case for case in all_cases(full_objects()) if options.only in str(case)]
    if options.cases:
        cases = sample(cases, options.cases, options.seed)
    began = time.monotonic()
    _RESULT.parent.mkdir(exist_ok=True)

    def write(findings: Findings) -> str:
        result = json.dumps(summary(cases, findings, time.monotonic() - began), indent=2)
        _RESULT.write_text(f"{result}\n", encoding="utf-8")
        return result

    with tempfile.TemporaryDirectory(prefix="serinus-hostile-") as folder:
        findings = asyncio.run(played(Cluster.current(), cases, Path(folder), write))
    _RESULT.with_name("operator.log").write_text(findings.log, encoding="utf-8")
    sys.stdout.write(f"{write(findings)}\n")
    return 1 if findings.problems else 0


def summary(cases: Sequence[Case], findings: Findings, seconds: float) -> dict[str, object]:
    """Return the result as it is written."""
    return {
        "cases": len(cases),
        "decided": len(findings.outcomes),
        "by_kind": dict(Counter(case.kind for case in cases)),
        "outcomes": {outcome.value: findings.count(outcome) for outcome in Outcome},
        "failures": len(findings.problems),
        "problems": findings.problems[:_SHOWN],
        "unnamed": findings.unnamed[:_SHOWN],
        "sentinel_decisions": findings.decisions,
        "seconds": round(seconds),
    }


if __name__ == "__main__":
    sys.exit(main())
