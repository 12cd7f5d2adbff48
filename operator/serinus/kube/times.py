"""metav1.MicroTime, the time format of Leases and Events."""

from datetime import UTC, datetime


def micro_time(moment: datetime) -> str:
    """Format a time for the API server: UTC, with microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
