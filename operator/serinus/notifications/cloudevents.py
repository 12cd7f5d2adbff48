"""Renders a notification as a CloudEvent 1.0 in structured JSON mode.

Structured, not binary: the signature is over the body, so that it also covers the attributes.
"""

from typing import Any, Final

from cloudevents.core.bindings.http import to_structured_event
from cloudevents.core.v1.event import CloudEvent

from serinus.api.names import API_VERSION
from serinus.api.parsing import encode
from serinus.notifications.message import Message
from serinus.ports.notifications import Notification

TYPE_PREFIX: Final = "dev.serinus.rollout."


def event_type(event: str) -> str:
    """Return the CloudEvents type of an event's word; the version at its end is that of the form of ``data``."""
    return f"{TYPE_PREFIX}{event}.v1"


def data_of(notification: Notification) -> dict[str, Any]:
    """Return the data: the fields of the audit record, and namespace and model as in a stored one."""
    return {"namespace": notification.model.namespace, "model": notification.model.name, **encode(notification.facts)}


def as_cloudevent(notification: Notification, source: str) -> Message:
    """Return the CloudEvent of a notification; ``source`` and the id together are unique to the event."""
    owner = notification.owner.key
    attributes = {
        "specversion": "1.0",
        "id": notification.facts.id,
        "source": source,
        "type": event_type(notification.event),
        "subject": f"/apis/{API_VERSION}/namespaces/{owner.namespace}/rollouts/{owner.name}",
        "time": notification.facts.at,
        "datacontenttype": "application/json",
    }
    sent = to_structured_event(CloudEvent(attributes, data_of(notification)))
    return Message(notification.facts.id, sent.headers["content-type"], bytes(sent.body))
