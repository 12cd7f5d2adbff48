"""The settings of notifications: who is told what, and in which files the secrets are."""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, field

from serinus.api.modelversion import ModelName
from serinus.api.quantities import Duration
from serinus.api.schema import NAME, FieldError, Model, refuse_twins
from serinus.ports.notifications import EVENTS

MOST_RECEIVERS: Final = 16
_SHORTEST: Final = Duration("100ms")
_LONGEST: Final = Duration("60s")

_Name = Annotated[str, Meta(pattern=NAME)]


class ReceiverKind(StrEnum):
    """In which form a receiver is told."""

    CLOUDEVENTS = "cloudevents"
    SLACK = "slack"
    TEAMS = "teams"


class SecretFile(Model, frozen=True, kw_only=True):
    """Where a secret is: a file, which the chart mounts from a Secret. It is read anew for each try."""

    file: Annotated[str, Meta(pattern="^/", max_length=4096)]


class ReceiverSettings(Model, frozen=True, kw_only=True):
    """One receiver of notifications.

    Attributes:
        name: its name in metrics, the log and events.
        type: the form of what it is sent.
        url_from: the file with its URL, which is a secret of most receivers.
        signing_key_from: the file with the keys that sign what it is sent; with ``cloudevents`` only, and required.
        namespaces: the namespaces of the Rollouts that it is told of; all if empty.
        models: the models that it is told of; all if empty.
        events: the events that it is told of; all if empty.
        timeout: for one try as a whole, the reading of the files and the look-up of the name included.
    """

    name: _Name
    type: ReceiverKind
    url_from: SecretFile
    signing_key_from: SecretFile | None = None
    namespaces: tuple[_Name, ...] = ()
    models: tuple[ModelName, ...] = ()
    events: tuple[str, ...] = ()
    timeout: Duration = field(default_factory=lambda: Duration("10s"))

    def __post_init__(self) -> None:
        """Refuse what could never be sent: unknown events, a key for chats, a time-out out of bounds."""
        for index, event in enumerate(self.events):
            if event not in EVENTS:
                raise FieldError(f".events[{index}]", f"unknown event {event!r}: write one of {', '.join(EVENTS)}")
        signed = self.type is ReceiverKind.CLOUDEVENTS
        if signed and self.signing_key_from is None:
            raise FieldError(".signingKeyFrom", "required with type cloudevents: the receiver verifies who has sent it")
        if not signed and self.signing_key_from is not None:
            raise FieldError(".signingKeyFrom", f"{self.type.value} verifies no signature: remove it")
        if not _SHORTEST <= self.timeout <= _LONGEST:
            raise FieldError(".timeout", f"must be between {_SHORTEST} and {_LONGEST}")


class NotificationSettings(Model, frozen=True, kw_only=True):
    """Notifications.

    Attributes:
        source: the ``source`` of the CloudEvents, a URI reference; set it where several clusters tell one receiver.
        receivers: who is told.
    """

    source: Annotated[str, Meta(pattern=r"^[!-~]{1,256}$")] = "/serinus"
    receivers: Annotated[tuple[ReceiverSettings, ...], Meta(max_length=MOST_RECEIVERS)] = ()

    def __post_init__(self) -> None:
        """Refuse two receivers of one name."""
        refuse_twins(".receivers", (receiver.name for receiver in self.receivers))
