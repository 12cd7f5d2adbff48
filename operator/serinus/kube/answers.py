"""Maps the API server's status codes to the errors of :mod:`serinus.errors`."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import msgspec

from serinus.errors import AmbiguousError, ConflictError, NotFoundError, RefusedError, SerinusError, TransientError

_MAX_MESSAGE: Final = 512

_PATCH_FAILED: Final = "the server rejected our request due to an error in our request"
"""The message of a JSON Patch that does not apply (apiserver, pkg/endpoints/handlers/patch.go and api/errors)."""


class AlreadyExistsError(ConflictError):
    """The name is taken; for an object with a deterministic name that means it was created before."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response of the API server; ``retry_after`` in seconds."""

    status: int
    content: bytes
    retry_after: float


class _Status(msgspec.Struct):
    """The fields of metav1.Status that are read."""

    message: str = ""
    reason: str = ""


def error_of(answer: Answer, request: str, *, write: bool) -> SerinusError | None:
    """Return the error for a response, or None for success.

    Args:
        answer: the response.
        request: method and path, for the message.
        write: whether the request may have changed something.
    """
    code = answer.status
    if HTTPStatus.OK <= code < HTTPStatus.MULTIPLE_CHOICES:
        return None
    status = _status_of(answer)
    message = f"{request}: {code} {status.message[:_MAX_MESSAGE]}"
    if code >= HTTPStatus.INTERNAL_SERVER_ERROR or code == HTTPStatus.REQUEST_TIMEOUT:
        return AmbiguousError(f"{message}; it may have been written") if write else TransientError(message)
    if code in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.GONE}:
        return TransientError(message)
    if code == HTTPStatus.NOT_FOUND:
        return NotFoundError(message)
    if code == HTTPStatus.CONFLICT:
        return AlreadyExistsError(message) if status.reason == "AlreadyExists" else ConflictError(message)
    if code == HTTPStatus.UNPROCESSABLE_ENTITY and status.message.startswith(_PATCH_FAILED):
        return ConflictError(f"{request}: the object has changed since it was read")
    return RefusedError(message)


def _status_of(answer: Answer) -> _Status:
    try:
        return msgspec.json.decode(answer.content, type=_Status)
    except (msgspec.DecodeError, RecursionError):
        return _Status(message=answer.content[:_MAX_MESSAGE].decode(errors="replace"))
