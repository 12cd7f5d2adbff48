"""A rendered notification: what is sent to one receiver."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """The body of one request.

    Attributes:
        id: that of the notification; the same for each try.
        content_type: the header of the body.
        body: the bytes that are sent and signed.
    """

    id: str
    content_type: str
    body: bytes
