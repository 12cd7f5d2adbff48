"""Every panel of the dashboard is asked of the Prometheus that scrapes a working operator."""

import json
from functools import partial
from typing import Any, Final

import aiohttp

from demo.observe import wait_for
from localcluster.settings import CHECKOUT
from serinus.api.rollout_status import StageState
from serinus.telemetry.rollout_series import FAMILIES
from support.e2e.fixtures import GOOD, STABLE
from support.e2e.manifests import canary, production, staging
from support.e2e.operator import OperatorControl
from support.e2e.place import SOON, Place

BOARD: Final = json.loads((CHECKOUT / "deploy/monitoring/dashboard.json").read_text(encoding="utf-8"))
MAY_BE_EMPTY: Final = {
    "shard {{shard}}: {{instance}}",  # there are none here
    "{{reason}}",  # no reconcile has failed
    "rolled back: {{reason}}",
    "Ended runs",  # only within a rate interval of the end of a run
}

Series = list[dict[str, Any]]


def expressions(namespace: str) -> dict[str, str]:
    """Every expression by its legend, with the variables as Grafana fills them in."""
    named = {
        f"{panel['title']}: {target['legendFormat']}": target["expr"]
        for panel in BOARD["panels"]
        for target in panel.get("targets", [])
    }
    named |= {note["name"]: note["expr"] for note in BOARD["annotations"]["list"]}
    filled = {"$namespace": namespace, "$rollout": ".*", "$__rate_interval": "20s"}
    for name, expression in named.items():
        for variable, value in filled.items():
            expression = expression.replace(variable, value)  # noqa: PLW2901 - one variable after the other
        assert "$" not in expression, expression
        named[name] = expression
    return named


async def asked(prometheus: str, expression: str) -> Series:
    """What Prometheus answers; fails with its words where it refuses."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as session,
        session.post(f"{prometheus}/api/v1/query", data={"query": expression}) as response,
    ):
        answer = await response.json()
    assert answer["status"] == "success", f"{expression}: {answer}"
    assert not answer.get("warnings"), answer
    series: Series = answer["data"]["result"]
    return series


async def answers(prometheus: str, questions: dict[str, str]) -> dict[str, Series]:
    return {name: await asked(prometheus, expression) for name, expression in questions.items()}


def empty(shown: dict[str, Series]) -> set[str]:
    """What shows nothing although it has to."""
    return {name for name, series in shown.items() if not series and name.split(": ", 1)[-1] not in MAY_BE_EMPTY}


async def test_every_panel_shows_something_while_a_canary_runs(operator: OperatorControl, place: Place) -> None:
    url = place.cluster.prometheus_url
    await place.stand((staging(), canary("2m"), production()), STABLE, GOOD)
    async with place.traffic():
        await place.want(GOOD)
        await place.until_stage("canary", StageState.ANALYZING)
        await wait_for(
            partial(answers, url, {family.name: family.name for family in FAMILIES}),
            lambda exported: empty(exported) == set(),
            within=SOON,
            what="every series of a Rollout",
            describe=lambda exported: f"there is none of {empty(exported)}",
        )
        found = await wait_for(
            partial(answers, url, expressions(place.namespace)),
            lambda shown: empty(shown) == set(),
            within=SOON,
            what="something in every panel",
            describe=lambda shown: f"{empty(shown)} are empty",
        )

    weights = found["Weights accepted: {{name}} {{role}}"]
    assert {one["metric"]["role"] for one in weights} == {"stable", "candidate"}
    assert sum(float(one["value"][1]) for one in weights) == 1
