"""The names of the registry's two tables, and the characters allowed in a name or a key."""

import re
from dataclasses import dataclass
from typing import Final, Self

from serinus.errors import ConfigurationError
from serinus.settings import DynamoDbSettings

# AWS, "Naming rules": a table's name has 3 to 255 of these characters; the longer suffix is -registry.
_PREFIX: Final = re.compile(r"[A-Za-z0-9_.-]{1,246}")
# No slash, which ends the scope and the cluster in a key.
_SCOPE: Final = re.compile(r"[A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class TableNames:
    """The registry's tables."""

    registry: str
    audit: str

    @classmethod
    def of(cls, settings: DynamoDbSettings) -> Self:
        """Return the names; ConfigurationError where AWS would refuse them."""
        if not _PREFIX.fullmatch(settings.table_prefix):
            raise ConfigurationError(
                f"registry.dynamodb.tablePrefix: {settings.table_prefix!r} must be 1 to 246 letters, digits, _ . or -"
            )
        return cls(f"{settings.table_prefix}-registry", f"{settings.table_prefix}-audit")


def checked_scope(settings: DynamoDbSettings) -> str:
    """Return the scope; ConfigurationError where it has characters that a key must not contain."""
    if not _SCOPE.fullmatch(settings.scope):
        raise ConfigurationError(
            f"registry.dynamodb.scope: {settings.scope!r} must be at most 63 letters, digits, _ . or -"
        )
    return settings.scope


def checked_cluster(settings: DynamoDbSettings) -> str:
    """Return the cluster's name, empty where none is given; ConfigurationError for characters as of a scope."""
    if not _SCOPE.fullmatch(settings.cluster):
        raise ConfigurationError(
            f"registry.dynamodb.cluster: {settings.cluster!r} must be at most 63 letters, digits, _ . or -"
        )
    return settings.cluster
