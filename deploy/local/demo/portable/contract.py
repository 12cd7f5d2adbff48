"""The integration test that runs as a Job: checks the contract that the candidate's clients rely on.

It calls the candidate's own Service before any user does. Serinus passes the address in the environment.
"""

import http.client
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

_URL: Final = "SERINUS_CANDIDATE_URL"
_VERSION: Final = "SERINUS_VERSION"
_MODEL: Final = "SERINUS_MODEL"
_TIMEOUT_SECONDS: Final = 5.0
_MAX_BYTES: Final = 65_536

_LUNCH: Final = {"amount": 12.5, "hour": 13, "merchant_risk": 0.05}
_NIGHT_SPREE: Final = {"amount": 2400.0, "hour": 3, "merchant_risk": 0.9}

Ask = Callable[[Mapping[str, object]], tuple[int, Mapping[str, Any]]]


def violations(ask: Ask, model: str, version: str) -> Iterator[str]:
    """Yield a message for each clause of the contract that the candidate violates."""
    scores = []
    for payment in (_LUNCH, _NIGHT_SPREE):
        status, answer = ask(payment)
        score = answer.get("score")
        if status != http.HTTPStatus.OK or not isinstance(score, float) or not 0 <= score <= 1:
            yield f"{payment}: expected 200 and a score from 0 to 1, got {status} and {score!r}"
            return
        if (answer.get("model"), answer.get("version")) != (model, version):
            yield f"expected {model} {version}, but {answer.get('model')} {answer.get('version')} answered"
        scores.append(score)
    if scores[0] >= scores[1]:
        yield f"a lunch scores {scores[0]}, a spree at night only {scores[1]}"
    status, _ = ask({"amount": 12.5})
    if status != http.HTTPStatus.BAD_REQUEST:
        yield f"a request without hour and merchant_risk was answered {status}: expected 400"


def main(environment: Mapping[str, str]) -> int:
    """Test the candidate; the exit status says whether it passed."""
    missing = [name for name in (_URL, _VERSION, _MODEL) if not environment.get(name)]
    if missing:
        print(f"{', '.join(missing)} is not set: Serinus sets it in the Jobs that it creates")
        return 2
    url, model = environment[_URL], environment[_MODEL]
    broken = list(violations(lambda payment: _ask(url, model, payment), model, environment[_VERSION]))
    print("\n".join(broken) or f"{model} {environment[_VERSION]} keeps the contract")
    return 1 if broken else 0


def _ask(url: str, model: str, payment: Mapping[str, object]) -> tuple[int, Mapping[str, Any]]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(
            "POST", f"/v2/models/{model}/infer", json.dumps(payment), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        body: Mapping[str, Any] = json.loads(response.read(_MAX_BYTES))
        return response.status, body
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(os.environ))
