"""What the API server's status codes mean to us."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import msgspec

from serinus.errors import AmbiguousError, ConflictError, NotFoundError, RefusedError, SerinusError, TransientError

_LONGEST_SENTENCE: Final = 512

_PATCH_FAILED: Final = "the server rejected our request due to an error in our request"
"""The message of a JSON Patch that does not apply (apiserver, pkg/endpoints/handlers/patch.go and api/errors)."""


class AlreadyExistsError(ConflictError):
    """The name is taken: for what is created under a deterministic name that is success."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer of the API server; ``retry_after`` in seconds."""

    status: int
    content: bytes
    retry_after: float


class _Status(msgspec.Struct):
    """The parts of metav1.Status that people need."""

    message: str = ""
    reason: str = ""


def error_of(answer: Answer, what: str, *, write: bool) -> SerinusError | None:
    """Return the error that an answer stands for, or None for a success.

    Args:
        answer: what came.
        what: the request, for the sentence.
        write: whether the request may have changed something.
    """
    code = answer.status
    if HTTPStatus.OK <= code < HTTPStatus.MULTIPLE_CHOICES:
        return None
    said = _said(answer)
    sentence = f"{what}: {code} {said.message[:_LONGEST_SENTENCE]}"
    if code >= HTTPStatus.INTERNAL_SERVER_ERROR or code == HTTPStatus.REQUEST_TIMEOUT:
        return AmbiguousError(f"{sentence}; it may have been written") if write else TransientError(sentence)
    if code in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.GONE}:
        return TransientError(sentence)
    if code == HTTPStatus.NOT_FOUND:
        return NotFoundError(sentence)
    if code == HTTPStatus.CONFLICT:
        return AlreadyExistsError(sentence) if said.reason == "AlreadyExists" else ConflictError(sentence)
    if code == HTTPStatus.UNPROCESSABLE_ENTITY and said.message.startswith(_PATCH_FAILED):
        return ConflictError(f"{what}: the object is no longer as it was read")
    return RefusedError(sentence)


def _said(answer: Answer) -> _Status:
    try:
        return msgspec.json.decode(answer.content, type=_Status)
    except msgspec.DecodeError:
        return _Status(message=answer.content[:_LONGEST_SENTENCE].decode(errors="replace"))
