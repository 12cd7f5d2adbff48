"""The operator and the name of its cluster: the identity from the API server, and the refusal at start-up."""

import asyncio

import pytest
from aiohttp import web
from msgspec import structs
from prometheus_client import CollectorRegistry

from serinus.cli.run import _outcome
from serinus.errors import ConfigurationError
from serinus.settings import RegistryKind, RegistrySettings, Settings
from serinus.telemetry import Telemetry
from serinus.wiring import Operator
from support.dynamodb.place import DynamoDbPlace
from support.kube.scripted import client_of, scripted
from support.registry.place import audit_entry, registry_on


@pytest.fixture(autouse=True)
def _metrics_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several operators of one process cannot share the default collector."""
    monkeypatch.setattr("serinus.wiring.Telemetry", lambda: Telemetry(CollectorRegistry()))


ASKED = "/api/v1/namespaces/kube-system"


def _cluster_with(uid: str) -> web.StreamResponse:
    return web.json_response({"metadata": {"name": "kube-system", "uid": uid}})


async def _check(place: DynamoDbPlace, uid: str) -> None:
    """Check the name as the operator of the cluster with this identity does when it starts; no uid: it may not look."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.path == ASKED
        if not uid:
            return web.json_response({"message": "namespaces is forbidden", "reason": "Forbidden"}, status=403)
        return _cluster_with(uid)

    registry = RegistrySettings(kind=RegistryKind.DYNAMODB, dynamodb=place.settings)
    async with scripted(answer) as server, client_of(server.url) as client:
        operator = Operator(Settings(registry=registry), client)
        try:
            await operator._check_cluster_name()
        finally:
            await operator._registry.store.close()


async def test_an_operator_does_not_start_under_the_name_of_another_cluster(place: DynamoDbPlace) -> None:
    await registry_on(place.open(identity="uid-1")).record(place.fresh_model(), audit_entry())
    await _check(place, "uid-1")
    with pytest.raises(ConfigurationError, match=r"belongs to another cluster, .* UID uid-1; this one's is uid-2"):
        await _check(place, "uid-2")


async def test_an_operator_that_may_not_read_its_identity_starts_and_says_so(
    place: DynamoDbPlace, caplog: pytest.LogCaptureFixture
) -> None:
    await registry_on(place.open(identity="uid-1")).record(place.fresh_model(), audit_entry())
    await _check(place, "")
    assert "another one of its name is not noticed" in caplog.text


async def test_a_registry_that_is_down_holds_no_start_up(
    place: DynamoDbPlace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = "http://127.0.0.1:9"
    monkeypatch.setattr(place, "settings", structs.replace(place.settings, endpoint=nowhere))
    await _check(place, "uid-1")
    assert "could not be checked yet" in caplog.text


async def test_what_a_person_must_correct_ends_the_process_without_a_traceback() -> None:
    async def refused() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(_raise(ConfigurationError("the cluster name belongs to another cluster")))

    with pytest.raises(ConfigurationError, match="belongs to another cluster"):
        await _outcome(asyncio.create_task(refused()))


async def _raise(problem: Exception) -> None:
    raise problem
