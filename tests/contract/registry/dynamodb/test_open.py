"""The addresses of registries, and the reader for serving code without Kubernetes and event loops."""

import subprocess
import sys

import pytest

import serinus.registry
from serinus.errors import ConfigurationError, InvalidObjectError, NotFoundError, RefusedError, TransientError
from serinus.registry.address import DynamoDbAddress, KubernetesAddress, parse_address
from serinus.registry.dynamodb.client import connect
from serinus.registry.dynamodb.reader import DynamoDbReader
from serinus.registry.dynamodb.reads import PageSizes
from serinus.settings import DynamoDbSettings
from support.dynamodb.place import REGION, DynamoDbPlace, credentials
from support.registry.place import audit_entry, in_use, registry_on


def _url(settings: DynamoDbSettings, more: str = "") -> str:
    return f"dynamodb://{settings.table_prefix}?region={REGION}&endpoint={settings.endpoint}{more}"


def test_an_address_names_the_tables_and_where_they_are() -> None:
    whole = (
        "dynamodb://Fleet_1.x?region=eu-central-1&endpoint=http%3A%2F%2F127.0.0.1%3A8000"
        "&cluster=prod-1&scope=prod&namespace=ml"
    )
    settings = DynamoDbSettings(
        region="eu-central-1",
        endpoint="http://127.0.0.1:8000",
        table_prefix="Fleet_1.x",
        cluster="prod-1",
        scope="prod",
    )
    assert parse_address(whole) == DynamoDbAddress(settings, "ml")
    assert parse_address("dynamodb://serinus") == DynamoDbAddress(DynamoDbSettings(table_prefix="serinus"))
    assert parse_address("kubernetes:") == KubernetesAddress()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (
            "dynamodb://serinus?regoin=x",
            "unknown parameter regoin: known are cluster, endpoint, namespace, region, scope",
        ),
        ("dynamodb://serinus?region=a&region=b", "duplicate"),
        ("dynamodb://serinus?region", "name=value"),
        ("dynamodb://serinus/fraud", "only the table prefix"),
        ("dynamodb://?region=a", "only the table prefix"),
        ("kubernetes://prod", "takes nothing more"),
        ("mysql://serinus", "is not the address of a registry"),
        ("", "is not the address of a registry"),
    ],
)
def test_an_invalid_address_is_refused_with_the_reason(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        parse_address(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"dynamodb://a+b?region={REGION}", "tablePrefix"),
        (f"dynamodb://serinus?region={REGION}&scope=a/b", "scope"),
        (f"dynamodb://serinus?region={REGION}&cluster=a/b", "cluster"),
        (f"dynamodb://serinus?region={REGION}&endpoint=nowhere", "endpoint"),
        ("dynamodb://serinus", "region"),
        ("kubernetes:", "open_store"),
    ],
)
def test_what_cannot_be_opened_is_refused_before_anything_is_sent(
    url: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials(monkeypatch)
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(ConfigurationError, match=words):
        serinus.registry.open(url)


async def test_serving_code_inside_an_event_loop_reads_the_registry(place: DynamoDbPlace) -> None:
    model = await in_use(place)
    with serinus.registry.open(_url(place.settings, "&namespace=ml")) as registry:
        production = registry.production(model.name)
        assert production is not None
        assert production.version == "2.0.0"
        assert registry.production(f"ml/{model.name}") == production
        assert registry.production("elsewhere/model") is None
        assert [entry.version for entry in registry.list(model.name)] == ["3.0.0", "2.0.0", "1.0.0"]
        assert registry.get(model.name, "v1.0.0").version == "1.0.0"
        assert [record.sequence for record in registry.history(model.name, after=3)] == [4, 5]
        with pytest.raises(NotFoundError, match=r"9\.9\.9 is not registered"):
            registry.get(model.name, "9.9.9")
        with pytest.raises(InvalidObjectError, match="neither a name nor namespace/name"):
            registry.production("a/b/c")


async def test_serving_code_reads_all_pages_of_a_list(place: DynamoDbPlace) -> None:
    model = await in_use(place)
    sizes = PageSizes(versions=2, records=2)
    with DynamoDbReader(place.settings, "ml", connect(place.settings), sizes=sizes) as registry:
        assert [entry.version for entry in registry.list(model.name)] == ["3.0.0", "2.0.0", "1.0.0"]
        assert [record.sequence for record in registry.history(model.name)] == [1, 2, 3, 4, 5]


async def test_models_of_another_scope_are_not_seen(place: DynamoDbPlace) -> None:
    model = await in_use(place)
    store = await serinus.registry.open_store(_url(place.settings, "&cluster=prod-1&scope=other"))
    try:
        await registry_on(store).record(model, audit_entry())
        assert (await store.read_head(model)).production is None
        assert [(key, head.audit.sequence) async for key, head in store.list_models()] == [(model, 1)]
    finally:
        await store.close()
    assert [head.audit.sequence async for _, head in place.open().list_models()] == [5]


async def test_a_registry_is_opened_only_where_its_tables_are(moto: str) -> None:
    with pytest.raises(ConfigurationError, match="nothing-registry does not exist: run serinus registry dynamodb"):
        await serinus.registry.open_store(f"dynamodb://nothing?region={REGION}&endpoint={moto}")
    with (
        serinus.registry.open(f"dynamodb://nothing?region={REGION}&endpoint={moto}") as registry,
        pytest.raises(RefusedError, match="create-tables"),
    ):
        registry.production("fraud")


def test_an_unreachable_registry_is_a_transient_error(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials(monkeypatch)
    with (
        serinus.registry.open(f"dynamodb://serinus?region={REGION}&endpoint=http://127.0.0.1:9") as registry,
        pytest.raises(TransientError, match="cannot be reached"),
    ):
        registry.production("fraud")


def test_importing_the_registry_loads_no_client() -> None:
    program = "import sys, serinus.registry; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert not {"boto3", "botocore", "aiohttp", "kubernetes"} & set(done.stdout.split())
