"""The keys of the registry's items in DynamoDB: which partition and sort key each one has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from serinus.api.names import SEQUENCE_DIGITS, ObjectKey
from serinus.engine.semver import sortable

Item = Mapping[str, Mapping[str, str]]
"""An item in the API's format: each attribute with its type, ``S`` or ``N``."""

Key = dict[str, Mapping[str, str]]

HEAD: Final = "HEAD"
_VERSION, _SEPARATOR = "V#", "/"


def text(value: str) -> dict[str, str]:
    """Return a text as an attribute."""
    return {"S": value}


def number(value: int) -> dict[str, str]:
    """Return a whole number as an attribute."""
    return {"N": str(value)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The keys of all models of one cluster.

    Attributes:
        prefix: what the partitions of its models begin with, in both tables.
        fleet: the key of its models in the fleet's index.
        numbers: what the partitions of the version numbers begin with, which all clusters of a scope share.
        cluster: its name, in its heads and records; empty for heads from before clusters had names.
        identity: the cluster that has the name; empty where no operator has claimed it.
        former: identities that the name was released from, whose heads the cluster takes over.
        unnamed: whether its partitions are those from before clusters had names.
    """

    prefix: str
    fleet: str
    numbers: str
    cluster: str = ""
    identity: str = ""
    former: tuple[str, ...] = ()
    unnamed: bool = True

    @classmethod
    def before_names(cls, scope: str) -> Self:
        """Return the keys of a scope from before clusters had names."""
        return cls(prefix=f"M#{scope}{_SEPARATOR}", fleet=f"FLEET#{scope}", numbers=f"N#{scope}{_SEPARATOR}")

    @classmethod
    def of_cluster(cls, scope: str, cluster: str) -> Self:
        """Return the keys of a named cluster with partitions of its own."""
        return cls(
            prefix=f"K#{scope}{_SEPARATOR}{cluster}{_SEPARATOR}",
            fleet=f"FLEET#{scope}{_SEPARATOR}{cluster}",
            numbers=f"N#{scope}{_SEPARATOR}",
            cluster=cluster,
            unnamed=False,
        )

    @property
    def owners(self) -> tuple[str, ...]:
        """The identities whose heads the cluster may write."""
        return tuple(owner for owner in (self.identity, *self.former) if owner)

    def of_model(self, model: ObjectKey) -> str:
        """Return the partition of a model, in both tables."""
        return self.prefix + f"{model.namespace}{_SEPARATOR}{model.name}"

    def model_of(self, item: Item) -> ObjectKey:
        """Return the model that an item belongs to."""
        namespace, _, name = item["pk"]["S"].removeprefix(self.prefix).partition(_SEPARATOR)
        return ObjectKey(namespace, name)

    def head(self, model: ObjectKey) -> Key:
        """Return the key of a model's head."""
        return {"pk": text(self.of_model(model)), "sk": text(HEAD)}

    def version(self, model: ObjectKey, version: str) -> Key:
        """Return the key of one version; ValueError where it is not SemVer."""
        return {"pk": text(self.of_model(model)), "sk": text(_VERSION + sortable(version))}

    def number(self, model: ObjectKey, version: str) -> Key:
        """Return the key of a version's number, which the first cluster that registers it takes for its spec."""
        partition = f"{self.numbers}{model.namespace}{_SEPARATOR}{model.name}"
        return {"pk": text(partition), "sk": text(_VERSION + sortable(version))}

    def version_at(self, item: Item) -> Key:
        """Return the key of the version that an index entry refers to."""
        return {"pk": text(item["pk"]["S"]), "sk": text(_VERSION + item["sk"]["S"].split("#")[1])}

    def record(self, model: ObjectKey, sequence: int) -> Key:
        """Return the key of a record in the audit table."""
        return {"pk": text(self.of_model(model)), "sk": text(sequence_text(sequence))}

    def record_id(self, model: ObjectKey, record_id: str) -> Key:
        """Return the key of the item that maps a record's id to its number; ids are unique within a model only."""
        return {"pk": text(f"I#{self.of_model(model)}#{record_id}"), "sk": text("-")}


def versions_begin(major: int | None) -> str:
    """Return the common prefix of the sort keys of all versions, or of those with one major number."""
    return _VERSION if major is None else f"{_VERSION}{sortable(f'{major}.0.0').partition('.')[0]}."


def sequence_text(sequence: int) -> str:
    """Return the sort key of a record: byte order is the order of the chain."""
    return f"{sequence:0{SEQUENCE_DIGITS}d}"
