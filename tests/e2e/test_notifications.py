"""A rollback is told to a receiver by the whole operator, while another receiver is dead."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event

from demo.behaviour import Behaviour
from demo.observe import wait_for
from localcluster.client import Cluster
from support.e2e.fixtures import BAD, STABLE, program_environment
from support.e2e.manifests import MODEL, canary, production, staging
from support.e2e.operator import OperatorControl, setup_in
from support.e2e.place import SOON, Place
from support.servers.faultproxy import FaultProxy, Request, Status

SECRET = bytes(range(32))
EVENTS = ["RolloutStarted", "RollbackStarted", "RolledBack"]


@pytest.fixture
async def receiver() -> AsyncIterator[FaultProxy]:
    """A receiver that is busy at the first try of each event."""
    async with FaultProxy("127.0.0.1", 1) as server:
        seen: set[str] = set()

        def plan(request: Request) -> Status:
            first = request.headers["webhook-id"] not in seen
            seen.add(request.headers["webhook-id"])
            return Status(503) if first else Status(204, b"")

        server.plan = plan
        yield server


async def test_a_rollback_arrives_signed_while_another_receiver_is_dead(
    cluster: Cluster, place: Place, receiver: FaultProxy, tmp_path: Path
) -> None:
    async with FaultProxy("127.0.0.1", 1) as gone:
        dead = gone.url
    files = {"url": f"{receiver.url}/hook", "key": f"whsec_{base64.b64encode(SECRET).decode()}", "dead": dead}
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="ascii")
    oncall = {
        "name": "oncall",
        "type": "cloudevents",
        "urlFrom": {"file": str(tmp_path / "url")},
        "signingKeyFrom": {"file": str(tmp_path / "key")},
        "namespaces": [place.namespace],
        "events": EVENTS,
    }
    # Of this namespace only: that a receiver is dead is said of the first Rollout that it should hear of.
    chat = {
        "name": "chat",
        "type": "teams",
        "urlFrom": {"file": str(tmp_path / "dead")},
        "namespaces": [place.namespace],
    }
    settings = {"notifications": {"source": "/e2e", "receivers": [oncall, chat]}}
    operator = OperatorControl(program_environment(cluster), replace(setup_in(cluster), settings=settings), tmp_path)
    try:
        await operator.start()
        await place.stand((staging(), canary(), production()), STABLE, BAD)
        await place.servers[BAD].behave(Behaviour(failing_share=1.0, after_requests=5))
        async with place.traffic():
            await place.want(BAD)
            status = await place.until_ended(BAD)
        told = await _received(receiver)
        assert "The receiver chat of notifications fails: it cannot be reached" in await place.until_event(
            "NotificationFailed"
        )
    finally:
        await operator.stop()
    assert [event["data"]["event"] for event in told] == EVENTS
    assert status.rollback is not None
    last = told[-1]
    assert (last["data"]["version"], last["data"]["to"]) == (BAD, STABLE)
    assert last["subject"] == f"/apis/serinus.dev/v1alpha1/namespaces/{place.namespace}/rollouts/{MODEL}"
    records = {raw["spec"]["id"]: raw["spec"] for raw in await place.all("AuditRecord")}
    for event in told:
        record, data = records[event["id"]], event["data"]
        # The registry adds to the details who promoted the version that serves.
        data["details"] = record.get("details", {}) | data.get("details", {})
        assert {name: record.get(name, {}) for name in data} == data


async def _received(receiver: FaultProxy) -> list[dict[str, Any]]:
    """Wait for the end of the run, and return each event once, as it was tried last; every try was signed."""

    async def look() -> list[bytes]:
        return [request.body for request in receiver.requests if b"RolledBack.v1" in request.body]

    await wait_for(look, lambda tries: len(tries) >= 2, within=SOON, what="the second try of the last event")
    by_id: dict[str, dict[str, Any]] = {}
    for request in receiver.requests:
        _verify(request)
        event = from_http_event(HTTPMessage(request.headers, request.body))
        assert event.get_id() == request.headers["webhook-id"]
        assert event.get_source() == "/e2e"
        by_id[event.get_id()] = json.loads(request.body)
    return list(by_id.values())


def _verify(request: Request) -> None:
    """Compare the signature as a receiver does."""
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    expected = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{expected}"
