"""The registry beside a real run: what it knows afterwards, and what becomes of the run when it is not there."""

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from demo.behaviour import Behaviour
from demo.observe import wait_for
from localcluster.client import Cluster
from localcluster.programs.dynamodb import dynamodb_local
from serinus.api.names import Command, ObjectKey
from serinus.registry.dynamodb.store import DynamoDbStore
from serinus.settings import DynamoDbSettings
from support.dynamodb.place import credentials, make_tables, settings_at
from support.e2e.fixtures import BAD, GOOD, STABLE, program_environment
from support.e2e.manifests import MODEL, canary, production, staging
from support.e2e.operator import OperatorControl, setup_in
from support.e2e.place import LONG, SOON, Place, condition
from support.servers.tcp_gate import TcpGate

PLAN = (staging(), canary(), production())
RUN = [
    "RolloutStarted",
    "TestPassed",
    "AnalysisPassed",
    "TrafficShifted",
    "AnalysisPassed",
    "TrafficShifted",
    "AnalysisPassed",
    "Promoted",
]


async def _statuses(place: Place) -> dict[str, dict[str, Any]]:
    return {raw["spec"]["version"]: raw["status"] for raw in await place.all("ModelVersion")}


async def serinus(place: Place, *words: str) -> tuple[int, str]:
    """Run the command line as a person does; return its status and all that it says."""
    program = Path(sys.executable).with_name("serinus")
    process = await asyncio.create_subprocess_exec(
        str(program),
        *words,
        env=place.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, said.decode()


async def recorded(place: Place, last: str) -> list[str]:
    """Wait until the trail ends with this event, and return all events of runs."""

    async def look() -> list[str]:
        raws = await place.all("AuditRecord")
        return [raw["spec"]["event"] for raw in sorted(raws, key=lambda raw: raw["spec"]["sequence"])]

    what = f"a trail that ends with {last}"
    seen = await wait_for(look, lambda found: found[-1:] == [last], within=LONG, what=what)
    return [event for event in seen if not event.startswith(("Version", "Policy"))]


async def registered(place: Place, number: int) -> None:
    """Wait until the registry knows so many ModelVersions."""

    async def look() -> int:
        statuses = [raw.get("status", {}) for raw in await place.all("ModelVersion")]
        return sum("VersionRegistered" in status.get("recorded", []) for status in statuses)

    await wait_for(look, lambda found: found == number, within=LONG, what=f"{number} registered versions")


async def test_a_promotion_and_a_rollback_are_on_the_record_and_anybody_can_verify_it(
    operator: OperatorControl, place: Place
) -> None:
    await place.stand(PLAN, STABLE, GOOD, BAD)
    async with place.traffic():
        await place.want(GOOD)
        await place.until_ended(GOOD)
        await place.servers[BAD].behave(Behaviour(failing_share=0.5))
        await place.want(BAD)
        await place.until_ended(BAD)

    events = await recorded(place, "RolledBack")
    assert events[: len(RUN) + 1] == ["StableAdopted", *RUN]
    assert events[-2:] == ["RollbackStarted", "RolledBack"]

    status, said = await serinus(place, "audit", "verify", MODEL, "-n", place.namespace)
    assert (status, said.startswith("ok: ")) == (0, True), said
    model = await place.get("Model")
    assert model["status"]["production"]["version"] == GOOD
    assert model["status"]["quarantined"] == [BAD]
    versions = await wait_for(
        lambda: _statuses(place),
        # It is written a second after the status that it follows from.
        lambda statuses: statuses[BAD]["stage"] == "RolledBack",
        within=SOON,
        what="the stage of the version",
    )
    conditions = {one["type"]: one["status"] for one in versions[GOOD]["conditions"]}
    assert {name: conditions[name] for name in ("Accepted", "Recorded", "SchemaAccepted", "ServingReady")} == {
        "Accepted": "True",
        "Recorded": "True",
        "SchemaAccepted": "True",
        "ServingReady": "True",
    }
    page = place.folder / "report.html"
    status, said = await serinus(place, "report", MODEL, "-n", place.namespace, "-o", str(page))
    assert status == 0, said
    assert GOOD in page.read_text(encoding="utf-8")


async def test_a_rollback_by_one_command_goes_where_it_says_and_bears_its_reason(
    operator: OperatorControl, place: Place
) -> None:
    await place.stand(PLAN, STABLE, GOOD)
    async with place.traffic():
        await place.want(GOOD)
        await place.until_ended(GOOD)
        words = ["--to", STABLE, "--reason", "complaints from three merchants"]
        status, said = await serinus(place, "rollback", MODEL, "-n", place.namespace, *words)
        assert status == 0, said
        await recorded(place, "RolledBack")

    raws = {raw["spec"]["event"]: raw["spec"] for raw in await place.all("AuditRecord")}
    started = raws["RollbackStarted"]
    assert (started["to"], started["reason"]) == (STABLE, "complaints from three merchants")
    assert (await place.weights())[f"{MODEL}-v1-0-0"] > 0
    status, said = await serinus(place, "audit", "log", MODEL, "-n", place.namespace, "-o", "json")
    assert status == 0, said
    assert json.loads(said.splitlines()[-1])["event"] == "RolledBack"


# ---- a registry that is not there --------------------------------------------------------------


@pytest.fixture(scope="module")
def tables() -> Iterator[DynamoDbSettings]:
    with pytest.MonkeyPatch.context() as patch, dynamodb_local() as endpoint:
        credentials(patch)
        settings = settings_at(endpoint)
        make_tables(settings)
        yield settings


async def test_a_registry_stopped_for_a_whole_run_changes_nothing_of_it_and_knows_all_of_it_later(
    cluster: Cluster, place: Place, tables: DynamoDbSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials(monkeypatch)
    address = urlsplit(tables.endpoint or "")
    async with TcpGate(address.hostname or "", address.port or 0) as gate:
        where = {"region": tables.region, "endpoint": gate.url, "tablePrefix": tables.table_prefix, "timeout": "1s"}
        where["cluster"] = tables.cluster
        registry = {"registry": {"kind": "DynamoDB", "dynamodb": where}}
        environment = program_environment(cluster) | {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        control = OperatorControl(environment, replace(setup_in(cluster), settings=registry), tmp_path)
        try:
            await control.start()
            await place.stand(PLAN, STABLE, GOOD)
            # A version that the registry does not know yet would wait for it.
            await registered(place, 2)
            gate.shut()
            async with place.traffic():
                await place.want(GOOD)
                status = await place.until_ended(GOOD)
                assert [record.event.value for record in status.records][-1] == "Promoted"
                assert gate.refused > 0
                lagging = await place.until(
                    lambda seen: any(one.type == "AuditLag" for one in seen.status.conditions),
                    within=LONG,
                    what="AuditLag",
                )
                assert condition(lagging, "AuditLag") == ("True", "RegistryUnavailable")
                gate.open = True
                await place.until(lambda seen: not seen.status.records, within=LONG, what="all to be recorded")
            shown = (await place.get("Model"))["status"]
            store = await DynamoDbStore.open(tables)
            try:
                model = ObjectKey(place.namespace, MODEL)
                head = await store.read_head(model)
                events = [record.content["event"] async for record in store.read_records(model)]
            finally:
                await store.close()
        finally:
            await control.stop()
    assert head.production is not None
    assert head.production.version == shown["production"]["version"] == GOOD
    assert [event for event in events if not event.startswith(("Version", "Policy"))] == ["StableAdopted", *RUN]


async def test_a_command_that_is_ignored_is_on_the_record_too(operator: OperatorControl, place: Place) -> None:
    await place.stand(PLAN, STABLE)
    await place.annotate(Command.RETRY, "why not")
    assert (await recorded(place, "CommandIgnored"))[-1] == "CommandIgnored"


async def test_a_version_that_is_made_anew_with_another_spec_never_serves_and_verify_says_so(
    operator: OperatorControl, place: Place
) -> None:
    await place.stand(PLAN, STABLE, GOOD)
    await registered(place, 2)
    raw = next(raw for raw in await place.all("ModelVersion") if raw["spec"]["version"] == GOOD)
    name = raw["metadata"]["name"]
    forged = {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": name},
        "spec": {**raw["spec"], "changes": "another build"},
    }
    await place.api.request("DELETE", f"{place.path('ModelVersion')}/{name}")
    await place.create(forged)

    async def look() -> dict[str, str]:
        status = (await place.get("ModelVersion", name)).get("status", {})
        return {one["type"]: one["reason"] for one in status.get("conditions", [])}

    await wait_for(look, lambda found: found.get("Accepted") == "VersionTaken", within=LONG, what="VersionTaken")
    await place.want(GOOD)
    await place.until(lambda seen: seen.status.reason == "VersionTaken", within=LONG, what="the run to be held")
    code, said = await serinus(place, "audit", "verify", MODEL, "-n", place.namespace)
    assert (code, "VersionDiffers" in said) == (1, True), said
