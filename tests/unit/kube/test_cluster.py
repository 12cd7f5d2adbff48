"""Listing objects: in pages, and a malformed object does not hide the others."""

import logging
from typing import Any

import pytest

from serinus.errors import TransientError
from serinus.kube.cluster import ApiCluster
from serinus.ports.cluster_state import EndpointsRecord, JobRecord, Listed, NamespaceRecord
from support.kube.objects import endpoint_slice, metadata
from support.kube.scripted import client_of, respond, scripted, status


def page(*items: dict[str, Any], more: str = "") -> dict[str, Any]:
    return {"items": list(items), "metadata": {"continue": more, "resourceVersion": "41"}}


async def test_pages_are_read_to_the_end() -> None:
    first = page(endpoint_slice(name="a"), more="next")
    last = page(endpoint_slice(name="b"))
    async with scripted(respond(200, first), respond(200, last)) as server, client_of(server.url) as client:
        records = (await ApiCluster(client).list_all(EndpointsRecord)).records
    assert [record.meta.key.name for record in records] == ["a", "b"]
    path = "GET /apis/discovery.k8s.io/v1/endpointslices"
    assert server.asked == [f"{path}?limit=500", f"{path}?limit=500&continue=next"]


async def test_each_namespace_is_listed_separately_and_only_labelled_jobs() -> None:
    async with scripted(respond(200, page())) as server, client_of(server.url) as client:
        assert await ApiCluster(client, ["a", "b"]).list_all(JobRecord) == Listed([], 41)
    label = "labelSelector=serinus.dev/rollout"
    assert server.asked == [f"GET /apis/batch/v1/namespaces/{name}/jobs?limit=500&{label}" for name in ("a", "b")]


async def test_a_malformed_object_is_skipped_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    malformed = {"metadata": metadata("malformed", resourceVersion="x")}
    items = page(malformed, {**malformed, "metadata": metadata("good")})
    async with scripted(respond(200, items)) as server, client_of(server.url) as client:
        with caplog.at_level(logging.WARNING):
            records = (await ApiCluster(client).list_all(NamespaceRecord)).records
    assert [record.meta.key.name for record in records] == ["good"]
    assert "malformed: metadata.resourceVersion" in caplog.text


async def test_the_version_of_a_list_of_namespaces_is_that_of_the_oldest() -> None:
    answers = [{"items": [], "metadata": {"resourceVersion": version}} for version in ("52", "49")]
    async with scripted(*(respond(200, answer) for answer in answers)) as server, client_of(server.url) as client:
        assert (await ApiCluster(client, ["a", "b"]).list_all(EndpointsRecord)).version == 49


@pytest.mark.parametrize("metadata", [{}, {"resourceVersion": "new"}, {"resourceVersion": 7}], ids=str)
async def test_a_list_without_a_version_is_no_answer(metadata: dict[str, object]) -> None:
    async with scripted(respond(200, {"items": [], "metadata": metadata})) as server, client_of(server.url) as client:
        with pytest.raises(TransientError, match="resourceVersion"):
            await ApiCluster(client).list_all(EndpointsRecord)


async def test_an_expired_continue_token_is_transient() -> None:
    answers = (respond(200, page(more="old")), status(410, "too old", "Expired"))
    async with scripted(*answers) as server, client_of(server.url) as client:
        with pytest.raises(TransientError):
            await ApiCluster(client).list_all(EndpointsRecord)


async def test_kinds_that_are_not_served_are_named() -> None:
    served = respond(
        200, {"resources": [{"name": name} for name in ("namespaces", "models", "rollouts", "jobs", "endpointslices")]}
    )
    missing = status(404, "not found")
    async with scripted(served, served, served, missing, served) as server, client_of(server.url) as client:
        assert await ApiCluster(client).missing_kinds() == [
            "modelversions.serinus.dev",
            "httproutes.gateway.networking.k8s.io",
        ]
