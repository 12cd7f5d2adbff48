"""A DynamoDB with scripted responses, without a network."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from botocore.awsrequest import AWSResponse


class _Body:
    """The body of a response in the form that botocore reads."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._content


def error(code: str, *, status: int = 400, message: str = "no", **more: Any) -> dict[str, Any]:
    return {"status": status, "__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message, **more}


def cancelled(*reasons: str | dict[str, Any]) -> dict[str, Any]:
    """Return the response for a cancelled transaction with these reasons, in the order of its actions."""
    listed = [{"Code": reason} if isinstance(reason, str) else reason for reason in reasons]
    return error("TransactionCanceledException", CancellationReasons=listed)


def _claims(asked: dict[str, Any]) -> dict[str, Any] | None:
    """Return the answer about the clusters of the tables, where that is asked: one has claimed its name."""
    key = asked.get("Key", {})
    if key.get("pk") == {"S": "CLUSTERS"}:
        return {"Item": key | {"identity": {"S": ""}}}
    values = asked.get("ExpressionAttributeValues", {})
    return {"Items": [], "Count": 0} if values.get(":pk") == {"S": "CLUSTERS"} else None


class Scripted:
    """Returns the responses in order, repeating the last one, and records the requests; an exception is raised.

    What is asked about the clusters of the tables is answered beside the script.
    """

    def __init__(self, *answers: dict[str, Any] | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def __call__(self, request: Any, _: Callable[[Any], AWSResponse]) -> AWSResponse:
        operation = request.headers["X-Amz-Target"].decode().partition(".")[2]
        asked = {"operation": operation, **json.loads(request.body)}
        answer: dict[str, Any] | Exception | None = _claims(asked)
        if answer is None:
            self.asked.append(asked)
            answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        content = {name: value for name, value in answer.items() if name != "status"}
        headers = {"content-type": "application/x-amz-json-1.0"}
        return AWSResponse(request.url, answer.get("status", 200), headers, _Body(json.dumps(content).encode()))
