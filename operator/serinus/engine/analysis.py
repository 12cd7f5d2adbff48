"""Placeholder."""


class Progress:
    """Placeholder."""
