"""The model server implements its documented API, and its behaviour can be changed while it runs."""

import json
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from demo.behaviour import Behaviour
from demo.fraud import train
from demo.modelserver import ModelServer, listening
from demo.portable.contract import Ask, violations
from demo.portable.server import INFER_PATH, SERVED_BY, Payment

PAYMENT = {"amount": 12.5, "hour": 13, "merchant_risk": 0.05}


@dataclass
class Client:
    session: aiohttp.ClientSession
    url: str
    control: str

    async def infer(self, payment: object) -> tuple[int, dict[str, Any], str]:
        async with self.session.post(self.url + INFER_PATH, data=json.dumps(payment)) as response:
            return response.status, await response.json(), response.headers[SERVED_BY]

    async def behave(self, **behaviour: float) -> int:
        async with self.session.put(self.control + "/control", data=json.dumps(behaviour)) as response:
            return response.status


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def server() -> AsyncIterator[Client]:
    port, control = free_port(), free_port()
    model = ModelServer("2.3.0", train("2.3.0"), Behaviour())
    async with listening(model, "127.0.0.1", port, control), aiohttp.ClientSession() as session:
        yield Client(session, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{control}")


async def test_a_response_has_the_score_and_the_version(server: Client) -> None:
    status, body, served_by = await server.infer(PAYMENT)

    assert (status, served_by) == (200, "2.3.0")
    expected = train("2.3.0").score(Payment(12.5, 13, 0.05))
    assert body == {"score": pytest.approx(expected, abs=1e-6), "model": "fraud-detector", "version": "2.3.0"}


@pytest.mark.parametrize(
    ("payment", "field"),
    [
        (PAYMENT | {"hour": 24}, "hour"),
        (PAYMENT | {"amount": "much"}, "amount"),
        (PAYMENT | {"colour": "red"}, "colour"),
        ({"amount": 1.0, "hour": 1}, "merchant_risk"),
    ],
)
async def test_an_invalid_request_is_refused_naming_the_field(
    server: Client, payment: dict[str, object], field: str
) -> None:
    status, body, _ = await server.infer(payment)

    assert status == 400
    assert field in body["error"]


async def test_a_running_server_can_be_made_to_fail_and_to_recover(server: Client) -> None:
    assert await server.behave(failingShare=1.0) == 200
    failing, _, served_by = await server.infer(PAYMENT)
    assert await server.behave() == 200
    healed, _, _ = await server.infer(PAYMENT)

    assert (failing, served_by, healed) == (500, "2.3.0", 200)


async def test_an_invalid_behaviour_is_refused_and_changes_nothing(server: Client) -> None:
    assert await server.behave(failingShare=2.0) == 400
    status, _, _ = await server.infer(PAYMENT)

    assert status == 200


async def test_the_health_endpoint_reports_the_version(server: Client) -> None:
    async with server.session.get(server.url + "/healthz") as response:
        assert (await response.json())["version"] == "2.3.0"


GOOD_ANSWERS = {12.5: 0.02, 2400.0: 0.97}


def fake_candidate(version: str = "2.3.0", **changes: object) -> Ask:
    def ask(payment: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        if "hour" not in payment:
            return int(str(changes.get("for_incomplete", 400))), {}
        score = GOOD_ANSWERS[payment["amount"]]
        return 200, {"score": score, "model": "fraud-detector", "version": version} | changes

    return ask


def test_a_candidate_that_meets_the_contract_passes_the_job_test() -> None:
    assert list(violations(fake_candidate(), "fraud-detector", "2.3.0")) == []


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        (fake_candidate(version="2.2.4"), "expected fraud-detector 2.3.0"),
        (fake_candidate(score=0.5), "a spree at night"),
        (fake_candidate(score=1.5), "a score from 0 to 1"),
        (fake_candidate(for_incomplete=200), "expected 400"),
    ],
)
def test_a_candidate_that_violates_the_contract_fails_with_a_reason(candidate: Ask, message: str) -> None:
    assert any(message in violation for violation in violations(candidate, "fraud-detector", "2.3.0"))
