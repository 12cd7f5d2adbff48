"""Several clusters on one pair of tables: each has heads and chains of its own, and a name that nobody else gets."""

from typing import Any

import pytest
from msgspec import structs

from serinus.api.audit_record import AuditEvent
from serinus.api.names import ObjectKey
from serinus.engine.audit.chain import ChainFault
from serinus.errors import ClusterTakenError, ConfigurationError, ConflictError, NotFoundError, VersionTakenError
from serinus.registry.dynamodb.clusters import Claim, ClusterDirectory
from serinus.registry.dynamodb.keys import Keys
from serinus.registry.dynamodb.reader import DynamoDbReader
from serinus.registry.dynamodb.store import DynamoDbStore
from support.dynamodb.place import CLUSTER, DynamoDbPlace, boto_clients
from support.registry.place import audit_entry, in_use, register, registry_on, step_on, version_entry

EU, US = "prod-eu", "prod-us"


def _raw(place: DynamoDbPlace) -> Any:
    return boto_clients(place.clients(place.open()))[1]


def _directory(place: DynamoDbPlace, cluster: str = "") -> ClusterDirectory:
    return ClusterDirectory(structs.replace(place.settings, cluster=cluster), place.clients(place.open()))


async def _in_both(place: DynamoDbPlace) -> tuple[ObjectKey, dict[str, DynamoDbStore]]:
    """Return a model whose 1.0.0 and 2.0.0 are registered in two clusters; 1.0.0 serves in both."""
    model = place.fresh_model()
    stores = {name: place.open(cluster=name, identity=f"uid-{name}") for name in (EU, US)}
    for store in stores.values():
        await register(registry_on(store), model, "1.0.0", "2.0.0")
        await registry_on(store).promote(model, "1.0.0", audit_entry())
    return model, stores


async def test_a_rollback_in_one_cluster_changes_nothing_in_the_other(place: DynamoDbPlace) -> None:
    model, stores = await _in_both(place)
    for store in stores.values():
        await registry_on(store).promote(model, "2.0.0", audit_entry())
    await registry_on(stores[US]).rollback(model, audit_entry())
    heads = {name: await store.read_head(model) for name, store in stores.items()}
    serving = {name: head.production.version for name, head in heads.items() if head.production is not None}
    assert serving == {EU: "2.0.0", US: "1.0.0"}
    assert (heads[EU].quarantined, heads[US].quarantined) == ((), ("2.0.0",))
    for name, store in stores.items():
        assert (await registry_on(store).verify(model)).ok
        assert {record.cluster async for record in registry_on(store).history(model)} == {name}
        assert [key async for key in store.list_chains()] == [model]
        assert [key async for key, _ in store.list_models()] == [model]
        assert [entry.version for entry in await registry_on(store).list(model)] == ["2.0.0", "1.0.0"]
    assert await place.open(cluster=EU).clusters() == (EU, US)


async def test_the_name_of_a_cluster_is_refused_to_another_one(place: DynamoDbPlace) -> None:
    model, stores = await _in_both(place)
    other = place.open(cluster=EU, identity="uid-of-somebody-else")
    before = await stores[EU].read_head(model)
    for attempt in (other.check_owner(), registry_on(other).promote(model, "2.0.0", audit_entry())):
        with pytest.raises(ClusterTakenError) as refusal:
            await attempt
        assert all(word in str(refusal.value) for word in (EU, f"uid-{EU}", "uid-of-somebody-else", "release-cluster"))
    assert await stores[EU].read_head(model) == before
    await stores[EU].check_owner()
    # A client outside of any cluster has no identity, and writes in the name of the one that its address names.
    assert await registry_on(place.open(cluster=EU)).promote(model, "2.0.0", audit_entry()) == 4


async def test_a_successor_takes_over_the_heads_of_a_released_name_and_its_predecessor_is_refused(
    place: DynamoDbPlace,
) -> None:
    model, stores = await _in_both(place)
    assert _directory(place).release(EU) == f"uid-{EU}"
    successor = place.open(cluster=EU, identity="uid-new")
    assert await registry_on(successor).promote(model, "2.0.0", audit_entry()) == 4
    # The predecessor still runs, and believes that the name is its own.
    with pytest.raises(ClusterTakenError, match="uid-new"):
        await registry_on(stores[EU]).rollback(model, audit_entry())
    assert (await registry_on(successor).verify(model)).ok
    with pytest.raises(ClusterTakenError, match="uid-new"):
        await place.open(cluster=EU, identity=f"uid-{EU}").check_owner()
    with pytest.raises(NotFoundError, match=f"known are {EU}, {US}"):
        _directory(place).release("prod-mars")


async def test_of_two_operators_that_claim_a_new_name_at_once_one_gets_it(
    place: DynamoDbPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = _directory(place, cluster="new"), _directory(place, cluster="new")
    find, seen = second._claim_of, list[Claim | None]()

    def find_before_the_first_has_claimed(name: str) -> Claim | None:
        seen.append(find(name))
        first.claim("uid-1")
        return seen[-1]

    monkeypatch.setattr(second, "_claim_of", find_before_the_first_has_claimed)
    with pytest.raises(ClusterTakenError, match="uid-1"):
        second.claim("uid-2")
    assert seen[0] is None, "the second one looked too late"


async def test_a_version_is_one_thing_in_all_clusters(place: DynamoDbPlace) -> None:
    model, stores = await _in_both(place)
    await register(registry_on(stores[EU]), model, "3.0.0")
    other = version_entry(model, "3.0.0", changes="another build")
    with pytest.raises(VersionTakenError, match=rf"3\.0\.0 is registered with another spec by the cluster {EU}"):
        await registry_on(stores[US]).register(model, other, audit_entry(AuditEvent.VERSION_REGISTERED))
    assert await stores[US].read_version(model, "3.0.0") is None
    assert (await stores[US].read_head(model)).audit.sequence == 3
    await register(registry_on(stores[US]), model, "3.0.0")


async def test_of_two_clusters_that_register_a_number_at_once_one_gets_it(
    place: DynamoDbPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, stores = await _in_both(place)
    await register(registry_on(stores[EU]), model, "3.0.0")
    # The other cluster has looked before that.
    monkeypatch.setattr(stores[US], "_refuse_other_spec", lambda *_: None)
    other = version_entry(model, "3.0.0", changes="another build")
    with pytest.raises(VersionTakenError, match=f"by the cluster {EU}"):
        await registry_on(stores[US]).register(model, other, audit_entry(AuditEvent.VERSION_REGISTERED))
    assert (await registry_on(stores[US]).verify(model)).ok


async def test_a_client_must_name_one_of_several_clusters(place: DynamoDbPlace) -> None:
    nobody = place.open(cluster="")
    with pytest.raises(ConfigurationError, match="no cluster is named"):
        await registry_on(nobody).record(place.fresh_model(), audit_entry())
    model = await in_use(place)
    assert (await nobody.owner()).cluster == CLUSTER, "the only one is meant where none is named"
    assert await registry_on(place.open(cluster="")).record(model, audit_entry()) == 6
    await registry_on(place.open(cluster=US)).record(model, audit_entry())
    with pytest.raises(ConfigurationError, match=rf"several clusters .*\({CLUSTER}, {US}\): name one, with --cluster"):
        await place.open(cluster="").read_head(model)


async def test_serving_code_reads_the_production_version_of_its_cluster(place: DynamoDbPlace) -> None:
    model, stores = await _in_both(place)
    entry = audit_entry(reason="2.0.0 has the new merchant features")
    await registry_on(stores[US]).promote(model, "2.0.0", entry)
    read = {}
    for name in stores:
        clients, settings = place.clients(place.open()), structs.replace(place.settings, cluster=name)
        reader = DynamoDbReader(settings, model.namespace, clients)
        assert reader.clusters() == (EU, US)
        read[name] = reader.production(model.name)
    serving = {name: production.version for name, production in read.items() if production is not None}
    assert serving == {EU: "1.0.0", US: "2.0.0"}
    promoted = read[US]
    assert promoted is not None
    assert (promoted.promoted_at, promoted.promoted_by) == (entry.at, entry.actor.name)
    assert promoted.promoted_because == "2.0.0 has the new merchant features"


# ---- verification ------------------------------------------------------------------------------


@pytest.mark.parametrize("attribute", ["cluster", "clusterId"])
async def test_a_head_with_another_owner_in_the_table_does_not_verify(place: DynamoDbPlace, attribute: str) -> None:
    model, stores = await _in_both(place)
    client, table = _raw(place), f"{place.settings.table_prefix}-registry"
    head = client.get_item(TableName=table, Key=Keys.of_cluster("", EU).head(model))["Item"]
    without = {name: head[name] for name in head if name != attribute}
    nobodys = {name: head[name] for name in head if name not in {"cluster", "clusterId"}}
    for changed in (head | {attribute: {"S": "evil"}}, without, nobodys):
        client.put_item(TableName=table, Item=changed)
        findings = (await registry_on(stores[EU]).verify(model)).findings
        assert {finding.fault for finding in findings} == {ChainFault.ATTRIBUTE_DIFFERS}
        assert attribute in " ".join(finding.message for finding in findings)


async def test_the_whole_chain_of_another_cluster_in_place_of_the_own_one_does_not_verify(
    place: DynamoDbPlace,
) -> None:
    """Each chain is true in itself: only the cluster that its records name tells them apart."""
    model, stores = await _in_both(place)
    await registry_on(stores[US]).promote(model, "2.0.0", audit_entry())
    ours, theirs = Keys.of_cluster("", EU).of_model(model), Keys.of_cluster("", US).of_model(model)
    client = _raw(place)
    for table in ("registry", "audit"):
        name = f"{place.settings.table_prefix}-{table}"
        condition: dict[str, Any] = {"KeyConditionExpression": "pk = :pk"}
        items = client.query(TableName=name, ExpressionAttributeValues={":pk": {"S": theirs}}, **condition)["Items"]
        for item in items:
            owner = {"cluster": {"S": EU}, "clusterId": {"S": f"uid-{EU}"}, "fleet": {"S": f"FLEET#/{EU}"}}
            client.put_item(TableName=name, Item=item | {"pk": {"S": ours}} | (owner if "fleet" in item else {}))
    findings = (await registry_on(stores[EU]).verify(model)).findings
    assert {finding.fault for finding in findings} == {ChainFault.MISPLACED}
    assert {finding.message for finding in findings} == {f"it is a record of the cluster {US}"}


async def test_a_head_that_somebody_else_has_moved_is_a_conflict_not_a_taken_name(place: DynamoDbPlace) -> None:
    model, stores = await _in_both(place)
    late = await step_on(stores[EU], model, audit_entry())
    await registry_on(stores[EU]).promote(model, "2.0.0", audit_entry())
    with pytest.raises(ConflictError):
        await stores[EU].commit(late)
