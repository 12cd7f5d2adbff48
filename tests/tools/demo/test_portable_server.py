"""The server for any cluster answers as the local one does, and needs nothing but the standard library."""

import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from demo.fraud import train
from demo.portable import contract, server
from demo.portable.server import INFER_PATH, SERVED_BY, Faults, Payment, PortableServer, payment_of, probability

WEIGHTS = train("2.3.0").weights
PAYMENT = {"amount": 12.5, "hour": 13, "merchant_risk": 0.05}


@contextmanager
def serving(faults: Faults | None = None) -> Iterator[http.client.HTTPConnection]:
    with PortableServer(("127.0.0.1", 0), "2.3.0", WEIGHTS, faults or Faults()) as one:
        thread = threading.Thread(target=one.serve_forever)
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", one.server_port, timeout=30)
        try:
            yield connection
        finally:
            connection.close()
            one.shutdown()
            thread.join()


def infer(connection: http.client.HTTPConnection, payment: object) -> tuple[int, dict[str, Any], str | None]:
    connection.request("POST", INFER_PATH, json.dumps(payment), {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read()), response.headers[SERVED_BY]


def test_a_response_has_the_score_of_the_trained_model_and_the_version() -> None:
    with serving() as connection:
        status, body, served_by = infer(connection, PAYMENT)

    assert (status, served_by) == (200, "2.3.0")
    score = train("2.3.0").score(Payment(12.5, 13, 0.05))
    assert body == {"score": pytest.approx(score, abs=1e-6), "model": "fraud-detector", "version": "2.3.0"}


def test_requests_follow_each_other_on_one_connection() -> None:
    with serving() as connection:
        assert [infer(connection, one)[0] for one in (PAYMENT, {"amount": 1}, PAYMENT)] == [200, 400, 200]
        connection.request("GET", "/healthz")
        assert json.loads(connection.getresponse().read())["version"] == "2.3.0"


def test_requests_fail_once_the_first_were_served_normally() -> None:
    with serving(Faults(failing_share=1.0, after_requests=2)) as connection:
        assert [infer(connection, PAYMENT)[0] for _ in range(4)] == [200, 200, 500, 500]


@pytest.mark.parametrize(
    ("payment", "field"),
    [
        (PAYMENT | {"hour": 24}, "hour"),
        (PAYMENT | {"hour": 1.5}, "hour"),
        (PAYMENT | {"amount": "much"}, "amount"),
        (PAYMENT | {"amount": True}, "amount"),
        (PAYMENT | {"colour": "red"}, "colour"),
        ({"amount": 1.0, "hour": 1}, "merchant_risk"),
        ([1], "object"),
    ],
)
def test_an_invalid_request_is_refused_naming_the_field(payment: object, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        payment_of(json.dumps(payment).encode())


def test_it_keeps_the_contract_that_the_job_of_staging_tests() -> None:
    with serving() as connection:
        found = contract.violations(lambda payment: infer(connection, payment)[:2], "fraud-detector", "2.3.0")

        assert list(found) == []


def test_scores_are_those_of_the_weights() -> None:
    assert probability((0.0,) * 5, Payment(100.0, 12, 0.5)) == 0.5


@pytest.mark.parametrize("program", [server, contract])
def test_a_program_runs_from_a_variable_with_the_standard_library_alone(program: Any) -> None:
    source = Path(program.__file__).read_text(encoding="utf-8")
    command = [sys.executable, "-I", "-S", "-c", "import os; exec(os.environ['PROGRAM'])"]
    words = ["--help"] if program is server else []
    done = subprocess.run(
        [*command, *words], env={"PROGRAM": source}, cwd=os.sep, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0 if program is server else 2, "")
    assert ("--weights" if program is server else "SERINUS_CANDIDATE_URL") in done.stdout


def test_a_server_ends_in_order_on_sigterm() -> None:
    source = Path(server.__file__).read_text(encoding="utf-8")
    command = [sys.executable, "-I", "-S", "-c", "import os; exec(os.environ['PROGRAM'])"]
    words = ["--version", "2.3.0", "--weights", json.dumps(WEIGHTS), "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen([*command, *words], env={"PROGRAM": source}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "fraud-detector 2.3.0 serves on port 0\n"
        process.terminate()

    assert process.returncode == 0
