"""create-tables, CloudFormation and Terraform make the same tables, with the same policies."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import boto3
import click
import pytest

from serinus.cli.context import CliContext
from serinus.cli.main import invoke
from serinus.errors import ConfigurationError
from serinus.registry.dynamodb.client import connect
from serinus.registry.dynamodb.names import TableNames
from serinus.registry.dynamodb.tables import create, definition, probe, shapes
from serinus.settings import DynamoDbSettings
from support.dynamodb.iam import policy
from support.dynamodb.place import REGION, fresh_prefix, settings_at
from support.dynamodb.templates import cloud_formation, terraform

AWS: Final = Path(__file__).parents[4] / "deploy" / "aws"
TABLES: Final = {"RegistryTable": "serinus-registry", "AuditTable": "serinus-audit"}
POLICIES: Final = ("operator", "reader", "retention")


@pytest.fixture
def settings(moto: str) -> DynamoDbSettings:
    return settings_at(moto)


@pytest.fixture
def client(settings: DynamoDbSettings) -> Iterator[Any]:
    clients = connect(settings)
    yield clients.reads
    clients.close()


def _wanted(name: str) -> dict[str, Any]:
    shape = shapes(TableNames("serinus-registry", "serinus-audit"))[name]
    return definition(name, shape, protect=True) | {"Expires": shape.expires}


def _ordered(definitions: list[dict[str, str]]) -> list[dict[str, str]]:
    return sorted(definitions, key=lambda one: one["AttributeName"])


@pytest.mark.parametrize(("resource", "name"), TABLES.items())
def test_cloudformation_describes_the_tables_that_create_tables_makes(resource: str, name: str) -> None:
    resources = cloud_formation((AWS / "registry.yaml").read_text())["Resources"]
    found = resources[resource]["Properties"]
    wanted = _wanted(name)
    assert found.pop("TableName") == {"Sub": "${TablePrefix}" + name.removeprefix("serinus")}
    assert found.pop("PointInTimeRecoverySpecification") == {"PointInTimeRecoveryEnabled": True}
    assert found.pop("TimeToLiveSpecification", {}).get("AttributeName", "") == wanted.pop("Expires")
    assert _ordered(found.pop("AttributeDefinitions")) == _ordered(wanted.pop("AttributeDefinitions"))
    wanted.pop("TableName")
    assert found == wanted
    assert resources[resource]["DeletionPolicy"] == "Retain"


@pytest.mark.parametrize("name", POLICIES)
def test_cloudformations_policies_are_those_of_the_files(name: str) -> None:
    resources = cloud_formation((AWS / "registry.yaml").read_text())["Resources"]
    document = resources[f"{name.capitalize()}Policy"]["Properties"]["PolicyDocument"]
    arn = "arn:aws:dynamodb:eu-central-1:123456789012:table/serinus"
    places = {
        '{"GetAtt": "RegistryTable.Arn"}': f'"{arn}-registry"',
        '{"GetAtt": "AuditTable.Arn"}': f'"{arn}-audit"',
        '{"Sub": "${RegistryTable.Arn}/index/*"}': f'"{arn}-registry/index/*"',
    }
    text = json.dumps(document)
    for short, long in places.items():
        text = text.replace(short, long)
    listed = policy(AWS / f"{name}-policy.json", "serinus")
    assert json.loads(text) == listed


@pytest.mark.parametrize(("resource", "name"), [("registry", "serinus-registry"), ("audit", "serinus-audit")])
def test_terraform_describes_the_tables_that_create_tables_makes(resource: str, name: str) -> None:
    found = dict(terraform((AWS / "registry.tf").read_text()))[f"resource aws_dynamodb_table {resource}"]
    wanted = _wanted(name)
    assert found["name"] == "${var.table_prefix}" + name.removeprefix("serinus")
    assert found["billing_mode"] == wanted["BillingMode"]
    assert found["deletion_protection_enabled"] == "true"
    assert found["point_in_time_recovery"] == [{"enabled": "true"}]
    assert found["lifecycle"] == [{"prevent_destroy": "true"}]
    assert [one["attribute_name"] for one in found.get("ttl", ())] == [one for one in [wanted["Expires"]] if one]
    assert _key(found) == wanted["KeySchema"]
    attributes = [{"AttributeName": one["name"], "AttributeType": one["type"]} for one in found["attribute"]]
    assert _ordered(attributes) == _ordered(wanted["AttributeDefinitions"])
    indexes = [
        {
            "IndexName": one["name"],
            "KeySchema": _key(one),
            "Projection": {"ProjectionType": one["projection_type"]},
        }
        for one in found.get("global_secondary_index", ())
    ]
    assert indexes == wanted.get("GlobalSecondaryIndexes", [])


def _key(block: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {"AttributeName": block["hash_key"], "KeyType": "HASH"},
        {"AttributeName": block["range_key"], "KeyType": "RANGE"},
    ]


@pytest.mark.parametrize("name", POLICIES)
def test_terraform_takes_the_policies_from_the_files(name: str) -> None:
    found = dict(terraform((AWS / "registry.tf").read_text()))[f"resource aws_iam_policy {name}"]
    assert found["policy"] == f'templatefile("${{path.module}}/{name}-policy.json", local.place)'


def test_the_tables_of_a_stack_are_taken_for_the_registrys(moto: str, client: Any) -> None:
    prefix = fresh_prefix()
    stacks = boto3.session.Session().client("cloudformation", region_name=REGION, endpoint_url=moto)
    stacks.create_stack(
        StackName=prefix,
        TemplateBody=(AWS / "registry.yaml").read_text(),
        Parameters=[{"ParameterKey": "TablePrefix", "ParameterValue": prefix}],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    tables = TableNames(f"{prefix}-registry", f"{prefix}-audit")
    probe(client, tables)
    done = list(create(client, tables, protect=False))
    assert f"table {tables.registry}: there already" in done
    assert f"table {tables.audit}: there already" in done


def create_tables(*words: str) -> int:
    return invoke(["registry", "dynamodb", "create-tables", *words], CliContext())


def test_the_verb_makes_the_tables_once_and_says_what_it_did(
    moto: str, client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = fresh_prefix()
    url = f"dynamodb://{prefix}?region={REGION}&endpoint={moto}"
    assert create_tables("--registry", url) == 0
    assert f"table {prefix}-audit: created" in capsys.readouterr().out
    assert create_tables("--registry", url) == 0
    assert f"table {prefix}-audit: there already" in capsys.readouterr().out
    described = client.describe_table(TableName=f"{prefix}-audit")["Table"]
    assert described["DeletionProtectionEnabled"] is False, "an emulator's tables may go"


def test_the_verb_reads_the_operators_configuration(
    moto: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix, file = fresh_prefix(), tmp_path / "serinus.yaml"
    place = {"region": REGION, "endpoint": moto, "tablePrefix": prefix, "cluster": "prod-1"}
    file.write_text(json.dumps({"registry": {"kind": "DynamoDB", "dynamodb": place}}))
    assert create_tables("--config", str(file)) == 0
    assert f"table {prefix}-registry: created" in capsys.readouterr().out


def test_tables_on_aws_are_protected_and_can_be_restored(client: Any, settings: DynamoDbSettings) -> None:
    tables = TableNames.of(settings)
    assert f"table {tables.audit}: point-in-time recovery is on" in list(create(client, tables, protect=True))
    for name in (tables.registry, tables.audit):
        assert client.describe_table(TableName=name)["Table"]["DeletionProtectionEnabled"] is True
        backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def test_a_table_of_that_name_with_other_keys_is_left_alone(client: Any, settings: DynamoDbSettings) -> None:
    tables = TableNames.of(settings)
    key = [{"AttributeName": "id", "KeyType": "HASH"}]
    types = [{"AttributeName": "id", "AttributeType": "S"}]
    client.create_table(
        TableName=tables.registry, KeySchema=key, AttributeDefinitions=types, BillingMode="PAY_PER_REQUEST"
    )
    with pytest.raises(ConfigurationError, match=r"its key is \('id',\), not \('pk', 'sk'\)"):
        list(create(client, tables, protect=False))


def test_only_a_registry_in_dynamodb_has_tables() -> None:
    with pytest.raises(click.BadParameter, match="no registry in DynamoDB"):
        create_tables("--registry", "kubernetes:")
