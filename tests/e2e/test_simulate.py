"""``serinus simulate`` on what Prometheus has of a real run says what the operator did, to the tick."""

import asyncio
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import yaml

from demo.behaviour import Behaviour
from serinus.api.rollout_status import RolloutStatus, StageState
from support.e2e.fixtures import BAD, STABLE
from support.e2e.manifests import ERRORS, MODEL, PORT, backend_of, canary, production, staging
from support.e2e.operator import OperatorControl
from support.e2e.place import Place

PLAN: Final = (staging(), canary("1m"), production())
FAILING: Final = Behaviour(failing_share=0.15)
TICK: Final = timedelta(seconds=1)


async def test_a_recorded_run_is_rolled_back_at_the_tick_at_which_the_operator_did(
    operator: OperatorControl, place: Place, tmp_path: Path
) -> None:
    await place.stand(PLAN, STABLE, BAD)
    await place.servers[BAD].behave(FAILING)
    async with place.traffic():
        await place.want(BAD)
        began = _since(await place.until_stage("canary", StageState.ANALYZING))
        status = await place.until_ended(BAD)
    rollback = status.rollback
    assert rollback is not None
    judged_at = next(one.at for one in status.evidence if one.condition == ERRORS)

    plan, recording = await _manifest(place, tmp_path), tmp_path / "run.jsonl"
    # The ticks of the replay are put on the operator's: they are a second apart from its last one on.
    first = judged_at - (judged_at - began) // TICK * TICK
    asked = await _simulate(
        place,
        *("-f", str(plan), "--prometheus", place.cluster.prometheus_url, "--scrape-interval", "1s"),
        *("--from", first.isoformat(), "--to", (judged_at + 5 * TICK).isoformat(), "-n", place.namespace),
        *("--candidate-backend", f"{backend_of(BAD)}:{PORT}", "--stable-backend", f"{backend_of(STABLE)}:{PORT}"),
        *("--record", str(recording)),
    )
    again = await _simulate(place, "-f", str(plan), "--recording", str(recording))

    assert (asked["end"], asked["condition"], asked["stage"]) == ("RolledBack", rollback.condition, "canary")
    assert rollback.condition == ERRORS
    decided_at = datetime.fromisoformat(asked["decidedAt"])
    # A sample that came into Prometheus after the operator's tick is there for the replay of that tick.
    assert abs(decided_at - judged_at) <= TICK
    assert decided_at <= rollback.decided_at + TICK
    assert (again["decidedAt"], again["condition"]) == (asked["decidedAt"], asked["condition"])
    assert asked["message"] == again["message"]
    if decided_at == judged_at:
        # The same share of the same number of requests.
        assert asked["message"] == rollback.message


def _since(status: RolloutStatus) -> datetime:
    assert status.stage is not None
    return status.stage.since


async def _manifest(place: Place, folder: Path) -> Path:
    raw = await place.get("Rollout", MODEL)
    plan = folder / "rollout.yaml"
    kept = {key: raw[key] for key in ("apiVersion", "kind", "metadata", "spec")}
    plan.write_text(yaml.safe_dump(kept), encoding="utf-8")
    return plan


async def _simulate(place: Place, *words: str) -> dict[str, Any]:
    program = Path(sys.executable).with_name("serinus")
    process = await asyncio.create_subprocess_exec(
        str(program), "simulate", *words, "-o", "json",
        env=place.environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told, problem = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, problem.decode()
    found: dict[str, Any] = json.loads(told)["alternatives"][0]
    return found
