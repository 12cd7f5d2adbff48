"""A DynamoDB that answers what a test wrote down, without any network."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from botocore.awsrequest import AWSResponse


class _Body:
    """The content of an answer as botocore reads it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._content


def error(code: str, *, status: int = 400, message: str = "no", **more: Any) -> dict[str, Any]:
    return {"status": status, "__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message, **more}


def cancelled(*reasons: str | dict[str, Any]) -> dict[str, Any]:
    """Return the answer that a transaction is cancelled for these reasons, in the order of its actions."""
    listed = [{"Code": one} if isinstance(one, str) else one for one in reasons]
    return error("TransactionCanceledException", CancellationReasons=listed)


class Scripted:
    """Answers in order, the last one for ever, and keeps what it was asked; an exception is what the network does."""

    def __init__(self, *answers: dict[str, Any] | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def __call__(self, request: Any, _: Callable[[Any], AWSResponse]) -> AWSResponse:
        operation = request.headers["X-Amz-Target"].decode().partition(".")[2]
        self.asked.append({"operation": operation, **json.loads(request.body)})
        answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        content = {name: value for name, value in answer.items() if name != "status"}
        headers = {"content-type": "application/x-amz-json-1.0"}
        return AWSResponse(request.url, answer.get("status", 200), headers, _Body(json.dumps(content).encode()))
