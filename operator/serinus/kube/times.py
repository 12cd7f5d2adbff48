"""metav1.MicroTime, the form of times in Leases and Events."""

from datetime import UTC, datetime


def micro_time(moment: datetime) -> str:
    """Write a time as the API server reads it: UTC, six digits of a second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
