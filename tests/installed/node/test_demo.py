"""The whole demo as on any cluster: its models are pods of a real node, and so is the operator."""

import json
import time
from pathlib import Path
from typing import Final

from localcluster.client import Cluster
from support.e2e.demo_elsewhere import ended, output, the_demo
from support.image.build import BASE
from support.image.result import note
from support.kubectl import Kubectl
from support.realnode import cgroups
from support.realnode.installation import Installation

_MIB: Final = 2**20


async def test_every_claim_of_the_demo_holds_with_real_pods(
    cluster: Cluster, admin: Kubectl, serinus: Installation, tmp_path: Path
) -> None:
    begun = time.monotonic()
    async with the_demo(cluster, tmp_path, "--yes", f"--image={BASE}") as demo:
        status, said = await ended(demo), output(demo)

    assert status == 0, said
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["ok"] is True
    assert [one["version"] for one in result["promoted"]] == ["2.3.0"]
    assert [one["version"] for one in result["rollbacks"]] == ["2.3.1", "2.3.2"]
    assert "Everything held." in said
    note(seconds_demo=round(time.monotonic() - begun))
    _memory_is_within_the_limit(serinus)


def _memory_is_within_the_limit(serinus: Installation) -> None:
    """Compare what the kernel has counted with the chart's limit, below which it would have killed the operator."""
    (leader,) = (pod for pod in serinus.pods() if pod["metadata"]["name"] == serinus.leader())
    (container,) = leader["status"]["containerStatuses"]
    limit, most = (
        cgroups.of_container(container["containerID"], "memory", f"memory.{file}")
        for file in ("limit_in_bytes", "max_usage_in_bytes")
    )
    assert f"{limit // _MIB}Mi" == leader["spec"]["containers"][0]["resources"]["limits"]["memory"]
    cpu = cgroups.of_container(container["containerID"], "cpuacct", "cpuacct.usage") / 1e9
    note(memory_limit_mib=limit / _MIB, memory_most_mib=round(most / _MIB, 1), cpu_seconds=round(cpu, 1))
    assert most < limit
