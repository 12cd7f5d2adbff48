"""The commands on tables with several clusters: across them, on one of them, and on the names themselves."""

import asyncio
import json
from pathlib import Path

import click
import pytest

from serinus.api.names import ObjectKey
from serinus.cli.context import CliContext
from serinus.cli.main import invoke
from serinus.errors import ConfigurationError, SerinusError
from serinus.settings import DynamoDbSettings
from support.dynamodb.place import REGION, DynamoDbPlace
from support.registry.place import audit_entry, register, registry_on

EU, US = "prod-eu", "prod-us"
FRAUD = ObjectKey("ml", "fraud")
WHY = "2.0.0 has the new merchant features"


@pytest.fixture
def fleet(tables: DynamoDbSettings) -> str:
    """The address of tables in which 1.0.0 serves in one cluster and 2.0.0 in the other."""

    async def fill() -> None:
        place = DynamoDbPlace(tables)
        for name, version in ((EU, "1.0.0"), (US, "2.0.0")):
            registry = registry_on(place.open(cluster=name, identity=f"uid-{name}"))
            await register(registry, FRAUD, "1.0.0", "2.0.0")
            await registry.promote(FRAUD, version, audit_entry(reason=WHY))
        await place.close()

    asyncio.run(fill())
    return f"dynamodb://{tables.table_prefix}?region={REGION}&endpoint={tables.endpoint}"


def run(*words: str) -> int:
    return invoke(words, CliContext())


def test_production_without_a_cluster_prints_a_line_for_each(fleet: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("registry", "production", "ml/fraud", "--registry", fleet) == 0
    header, *lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert header == ["CLUSTER", "PRODUCTION", "SINCE", "BY", "BECAUSE", "DIGEST"]
    assert [line[:5] for line in lines] == [
        [EU, "1.0.0", "2026-11-01", "12:00:00Z", "alice@example.com"],
        [US, "2.0.0", "2026-11-01", "12:00:00Z", "alice@example.com"],
    ]
    assert all(WHY in " ".join(line) for line in lines)


def test_production_as_json_says_who_promoted_the_version_when_and_why(
    fleet: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("registry", "production", "ml/fraud", "--registry", fleet, "-o", "json") == 0
    facts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["cluster"], one["version"]) for one in facts] == [(EU, "1.0.0"), (US, "2.0.0")]
    for one in facts:
        assert (one["promotedAt"], one["promotedBy"], one["promotedBecause"]) == (
            "2026-11-01T12:00:00Z",
            "alice@example.com",
            WHY,
        )


@pytest.mark.parametrize(("cluster", "version"), [(EU, "1.0.0"), (US, "2.0.0")])
def test_production_of_one_cluster_is_the_version_alone(
    fleet: str, cluster: str, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("registry", "production", "ml/fraud", "--registry", fleet, "--cluster", cluster) == 0
    assert run("registry", "production", "ml/fraud", "--registry", f"{fleet}&cluster={cluster}") == 0
    assert capsys.readouterr().out == f"{version}\n{version}\n"


def test_a_model_that_serves_in_one_cluster_only_is_shown_with_the_other(
    fleet: str, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ("--registry", fleet, "--cluster", EU)
    assert run("registry", "production", "ml/credit", "--registry", fleet) == 1
    assert "no version of ml/credit is in production" in capsys.readouterr().err
    yank = ("registry", "yank", "ml/fraud", "2.0.0", *named, "--reason", "trained on stolen data")
    assert run(*yank) == 0
    assert run("registry", "get", "ml/fraud", "2.0.0", "--registry", fleet, "--cluster", US, "-o", "json") == 0
    status = json.loads(capsys.readouterr().out.splitlines()[-1])["status"]
    assert "yanked" not in status, "a yank holds in its cluster"
    assert (status["promotedBy"], status["promotedBecause"]) == ("alice@example.com", WHY)


def test_a_version_that_does_not_serve_any_more_still_says_who_promoted_it(
    fleet: str, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ("--registry", fleet, "--cluster", EU)
    assert run("registry", "promote", "ml/fraud", "2.0.0", *named, "--reason", "the next one is here") == 0
    capsys.readouterr()
    assert run("registry", "get", "ml/fraud", "1.0.0", *named, "-o", "json") == 0
    status = json.loads(capsys.readouterr().out)["status"]
    assert (status["stage"], status["promotedAt"]) == ("Superseded", "2026-11-01T12:00:00Z")
    assert (status["promotedBy"], status["promotedBecause"]) == ("alice@example.com", WHY)


def test_every_other_verb_asks_for_the_cluster(fleet: str) -> None:
    for verb in ("history", "list"):
        with pytest.raises(ConfigurationError, match=rf"several clusters .*\({EU}, {US}\): name one, with --cluster"):
            run("registry", verb, "ml/fraud", "--registry", fleet)
    with pytest.raises(SerinusError, match="the kubeconfig names the cluster"):
        run("registry", "production", "ml/fraud", "--cluster", EU)


def test_verify_goes_through_all_clusters_and_names_the_broken_one(
    fleet: str, tables: DynamoDbSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("audit", "verify", "--all", "--registry", fleet) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ok: 3 records")[0] for line in lines] == [f"{EU}: ml/fraud", f"{US}: ml/fraud"]
    _break_head(tables)
    assert run("audit", "verify", "ml/fraud", "--registry", fleet) == 1
    told = capsys.readouterr().out
    assert f"{EU}: ml/fraud: ok" in told
    assert f"{US}: ml/fraud: 1 finding in 3 records" in told
    assert run("audit", "verify", "ml/fraud", "--registry", fleet, "--cluster", EU) == 0


def test_restore_brings_one_clusters_head_back_and_leaves_the_others_alone(
    fleet: str, tables: DynamoDbSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    _break_head(tables, remove=True)
    named = ("--registry", fleet, "--cluster", US)
    assert run("audit", "restore", "ml/fraud", *named, "--reason", "the head was deleted", "--yes") == 0
    assert "restored the head #3" in capsys.readouterr().out
    assert run("audit", "verify", "--all", "--registry", fleet) == 0
    assert run("registry", "production", "ml/fraud", *named) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2.0.0"


def test_prune_and_export_write_one_clusters_records(
    fleet: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "model.yaml"
    policy.write_text(
        "apiVersion: serinus.dev/v1alpha1\nkind: Model\nmetadata: {name: fraud}\nspec: {retentionDays: 1}"
    )
    archive = tmp_path / "archive"
    for cluster in (EU, US):
        named = ("--registry", fleet, "--cluster", cluster)
        pruning = ("audit", "prune", "ml/fraud", *named, "--archive", str(archive), "--policy", str(policy), "--yes")
        assert run(*pruning) == 0
        assert run("audit", "verify", "ml/fraud", *named, "--archive", str(archive)) == 0
        file = tmp_path / f"{cluster}.jsonl"
        assert run("audit", "export", "ml/fraud", *named, "-o", str(file)) == 0
        assert run("audit", "verify", "--file", str(file)) == 0
        records = [json.loads(line) for line in file.read_text().splitlines()]
        assert {record["cluster"] for record in records} == {cluster}
    folders = {str(file.parent.relative_to(archive)) for file in archive.rglob("*.jsonl")}
    assert folders == {f".clusters/{cluster}/ml/fraud" for cluster in (EU, US)}, capsys.readouterr().out


def test_the_report_is_about_one_cluster_and_says_who_promoted(
    fleet: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.md"
    assert run("report", "ml/fraud", "--registry", fleet, "--cluster", US, "-o", str(file)) == 0, capsys.readouterr()
    page = file.read_text()
    assert f"| Cluster | {US} |" in page
    assert f"(promoted by alice&#64;example.com: {WHY})" in page


def test_the_clusters_and_their_identities_are_listed_and_a_name_is_released(
    fleet: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("registry", "dynamodb", "clusters", "--registry", fleet) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [["CLUSTER", "IDENTITY"], [EU, f"uid-{EU}"], [US, f"uid-{US}"]]
    assert run("registry", "dynamodb", "release-cluster", EU, "--registry", fleet) == 0
    assert f"would be released from uid-{EU}" in capsys.readouterr().out
    assert run("registry", "dynamodb", "release-cluster", EU, "--yes", "--registry", fleet) == 0
    assert run("registry", "dynamodb", "clusters", "--registry", fleet) == 0
    assert "(nobody)" in capsys.readouterr().out
    with pytest.raises(click.BadParameter, match="no registry in DynamoDB"):
        run("registry", "dynamodb", "clusters", "--registry", "kubernetes:")


def _break_head(tables: DynamoDbSettings, *, remove: bool = False) -> None:
    """Change the head of the second cluster in its table, or remove it."""

    async def change() -> None:
        place = DynamoDbPlace(tables)
        client = place.clients(place.open()).commits
        key = {"pk": {"S": f"K#/{US}/ml/fraud"}, "sk": {"S": "HEAD"}}
        table = f"{tables.table_prefix}-registry"
        if remove:
            client.delete_item(TableName=table, Key=key)
        else:
            values = {":version": {"S": "9.9.9"}}
            names = {"#version": "version"}
            client.update_item(
                TableName=table,
                Key=key,
                UpdateExpression="SET #version = :version",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )
        await place.close()

    asyncio.run(change())
