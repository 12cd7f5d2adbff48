"""One step of a model's history as one transaction, and the interpretation of its cancellation.

The step is stored as a whole or not at all: the head, provided that it is still the one decided on, the record, the
item that maps its id to its number, and a registered version. Cancellation reasons come in the order of the actions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid5

from serinus.api.names import ObjectKey
from serinus.engine.versions.catalogue import VersionEntry
from serinus.errors import (
    ClusterTakenError,
    ConflictError,
    NotFoundError,
    RefusedError,
    SerinusError,
    TransientError,
    VersionTakenError,
)
from serinus.ports.registry_store import Commit, Yank
from serinus.registry.dynamodb.client import ContendedError
from serinus.registry.dynamodb.items import data_items, head_item, record_id_item, record_item, version_values
from serinus.registry.dynamodb.keys import Item, Keys, number, text
from serinus.registry.dynamodb.names import TableNames

HEAD_STEP, RECORD_STEP, RECORD_ID_STEP = "head", "record", "record id"
VERSION_STEP, NUMBER_STEP = "version", "number"

_SPACE: Final = UUID("5e1f3c5a-7f0e-5d0b-9c0f-2a6c1d1f4e83")
_FAILED: Final = "ConditionalCheckFailed"
_CONTENDED: Final = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


@dataclass(frozen=True, slots=True)
class Transaction:
    """A step as a request of TransactWriteItems.

    Attributes:
        step: the step.
        keys: those of its cluster.
        names: the purpose of each action, in their order.
        actions: the actions in the API's format.
        token: the idempotency token: DynamoDB applies a step once, however often it is sent within ten minutes.
    """

    step: Commit
    keys: Keys
    names: tuple[str, ...]
    actions: tuple[Mapping[str, Any], ...]
    token: str

    @property
    def request(self) -> dict[str, Any]:
        """The request's parameters."""
        return {"TransactItems": list(self.actions), "ClientRequestToken": self.token}


def transaction(step: Commit, keys: Keys, tables: TableNames) -> Transaction:
    """Return the step as one transaction.

    Raises:
        NotFoundError: ``serves`` is not a SemVer version.
        RefusedError: an item exceeds DynamoDB's limit, or the step contradicts itself.
    """
    build = _Builder(step, keys, tables)
    named = list(build.actions())
    return Transaction(
        step, keys, tuple(name for name, _ in named), tuple(action for _, action in named), build.token()
    )


@dataclass(frozen=True, slots=True)
class _Builder:
    step: Commit
    keys: Keys
    tables: TableNames
    partition: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "partition", self.keys.of_model(self.step.model))

    def token(self) -> str:
        """Return the token. The hash covers id and sequence too: different steps never have the same token."""
        record = self.step.record
        return str(uuid5(_SPACE, f"{self.partition}/{record.id}/{record.sequence}/{record.hash}"))

    def actions(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        step, keys = self.step, self.keys
        yield HEAD_STEP, self._head()
        yield RECORD_STEP, self._create(self.tables.audit, record_item(keys, step.model, step.record))
        yield RECORD_ID_STEP, self._create(self.tables.registry, record_id_item(keys, step.model, step.record))
        if step.registers is not None:
            yield VERSION_STEP, self._register(step.registers)
            if keys.cluster:
                yield NUMBER_STEP, self._take_number(step.registers)
            for item in data_items(keys, step.model, step.registers):
                yield "data", {"Put": {"TableName": self.tables.registry, "Item": item}}
        if step.serves and (step.registers is None or step.registers.version != step.serves):
            yield VERSION_STEP, self._check()
        if step.yanks is not None:
            yield VERSION_STEP, self._yank(step.yanks)

    def _head(self) -> Mapping[str, Any]:
        before = self.step.before.audit
        put: dict[str, Any] = {
            "TableName": self.tables.registry,
            "Item": head_item(self.keys, self.step.model, self.step.after),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if before.sequence == 0:
            return {"Put": put | {"ConditionExpression": "attribute_not_exists(pk)"}}
        owners = {f":owner{place}": text(owner) for place, owner in enumerate(self.keys.owners)}
        ours = f" OR #clusterId IN ({', '.join(owners)})" if owners else ""
        return {
            "Put": put
            | {
                "ConditionExpression": f"#seq = :seq AND #hash = :hash AND (attribute_not_exists(#clusterId){ours})",
                "ExpressionAttributeNames": {"#seq": "seq", "#hash": "hash", "#clusterId": "clusterId"},
                "ExpressionAttributeValues": {":seq": number(before.sequence), ":hash": text(before.hash)} | owners,
            }
        }

    def _take_number(self, entry: VersionEntry) -> Mapping[str, Any]:
        """Take the version's number for this spec in the whole fleet, unless a cluster has it for the same spec."""
        values = {"specHash": text(entry.spec_hash), "cluster": text(self.keys.cluster)}
        return {
            "Update": {
                "TableName": self.tables.registry,
                "Key": self.keys.number(self.step.model, entry.version),
                "UpdateExpression": "SET " + ", ".join(f"#{name} = if_not_exists(#{name}, :{name})" for name in values),
                "ConditionExpression": "attribute_not_exists(pk) OR #specHash = :specHash",
                "ExpressionAttributeNames": {f"#{name}": name for name in values},
                "ExpressionAttributeValues": {f":{name}": value for name, value in values.items()},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    @staticmethod
    def _create(table: str, item: Item) -> Mapping[str, Any]:
        return {"Put": {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}

    def _register(self, entry: VersionEntry) -> Mapping[str, Any]:
        """Register a version; one that is registered already keeps its labels and its time."""
        step = self.step
        serves = step.serves == entry.version
        if serves and entry.digest != step.digest:
            raise RefusedError(f"{entry.version} shall serve with {step.digest}, but is registered with {entry.digest}")
        values = version_values(self.keys, step.model, entry) | {"seq": number(step.record.sequence)}
        kept = "attribute_not_exists(pk) OR #specHash = :specHash"
        return {
            "Update": {
                "TableName": self.tables.registry,
                "Key": self.keys.version(step.model, entry.version),
                "UpdateExpression": "SET " + ", ".join(f"#{name} = if_not_exists(#{name}, :{name})" for name in values),
                "ConditionExpression": f"({kept}) AND attribute_not_exists(#yanked)" if serves else kept,
                "ExpressionAttributeNames": {f"#{name}": name for name in values}
                | ({"#yanked": "yanked"} if serves else {}),
                "ExpressionAttributeValues": {f":{name}": value for name, value in values.items()},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def _yank(self, yanks: Yank) -> Mapping[str, Any]:
        """Mark a registered version, or remove its mark, and count the change."""
        step = self.step
        try:
            key = self.keys.version(step.model, yanks.version)
        except ValueError as problem:
            raise _not_registered(step) from problem
        counted = "#yanks = if_not_exists(#yanks, :none) + :one, #by = :by"
        names = {"#yanked": "yanked", "#yanks": "yanks", "#by": "yankSeq"}
        values = {":none": number(0), ":one": number(1), ":by": number(step.record.sequence)}
        mark = f"SET #yanked = :reason, {counted}" if yanks.reason else f"SET {counted} REMOVE #yanked"
        return {
            "Update": {
                "TableName": self.tables.registry,
                "Key": key,
                "UpdateExpression": mark,
                "ConditionExpression": "attribute_exists(pk)",
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": values | ({":reason": text(yanks.reason)} if yanks.reason else {}),
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def _check(self) -> Mapping[str, Any]:
        step = self.step
        try:
            key = self.keys.version(step.model, step.serves)
        except ValueError as problem:
            raise _not_registered(step) from problem
        return {
            "ConditionCheck": {
                "TableName": self.tables.registry,
                "Key": key,
                "ConditionExpression": "attribute_exists(pk) AND #digest = :digest AND attribute_not_exists(#yanked)",
                "ExpressionAttributeNames": {"#digest": "digest", "#yanked": "yanked"},
                "ExpressionAttributeValues": {":digest": {"S": step.digest}},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }


# ---- cancellations -----------------------------------------------------------------------------


def cancelled(sent: Transaction, reasons: list[Mapping[str, Any]]) -> SerinusError | None:
    """Return the error that a cancellation means; None where the step is stored already.

    A failed condition takes precedence over a write conflict, and the one on the record's id over all others.
    """
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for name, reason in zip(sent.names, reasons, strict=False):
        by_name.setdefault(name, []).append(reason)
    failed = {name: reason for name, group in by_name.items() for reason in group if reason.get("Code") == _FAILED}
    if RECORD_ID_STEP in failed:
        return None
    if HEAD_STEP in failed:
        return _head_changed(sent, failed[HEAD_STEP].get("Item"))
    if VERSION_STEP in failed:
        return _version_unsuitable(sent.step, failed[VERSION_STEP].get("Item"))
    if NUMBER_STEP in failed and sent.step.registers is not None:
        other = failed[NUMBER_STEP].get("Item") or {}
        names = (other.get(name, {}).get("S", "") for name in ("cluster", "specHash"))
        return VersionTakenError(taken_elsewhere(sent.step.model, sent.step.registers, *names))
    if RECORD_STEP in failed:
        return _forked(sent.step)
    return _without_condition(reasons)


def taken_elsewhere(model: ObjectKey, entry: VersionEntry, cluster: str, spec_hash: str) -> str:
    """Return why a version's number is taken by another cluster of the fleet, with the remedy."""
    return (
        f"{model} {entry.version} is registered with another spec by the cluster {cluster}, {spec_hash}, not "
        f"{entry.spec_hash}, and a version is one thing in all clusters: give the new build a new version"
    )


def _head_changed(sent: Transaction, stored: Item | None) -> SerinusError:
    step, owner = sent.step, (stored or {}).get("clusterId", {}).get("S", "")
    if owner and owner not in sent.keys.owners:
        return ClusterTakenError(
            f"the head of {step.model} belongs to another cluster, whose namespace kube-system has the UID {owner}, "
            f"and which has claimed the name {sent.keys.cluster}: give this cluster a name of its own in "
            "registry.dynamodb.cluster"
        )
    serving = (stored or {}).get("version", {}).get("S") or "nothing"
    number = (stored or {}).get("seq", {}).get("N", "0")
    return ConflictError(
        f"{step.model} is at record {number} with {serving} in production, not at {step.before.audit.sequence}: "
        "read the head, decide again"
    )


def _version_unsuitable(step: Commit, stored: Item | None) -> SerinusError:
    entry = step.registers
    if stored is None:
        return _not_registered(step)
    version = stored.get("version", {}).get("S", "")
    if entry is not None and version == entry.version and stored.get("specHash", {}).get("S") != entry.spec_hash:
        return VersionTakenError(
            f"{step.model} {version} is registered with another spec, {stored.get('specHash', {}).get('S')}, not "
            f"{entry.spec_hash}, and a version never changes: give the new build a new version"
        )
    if "yanked" in stored:
        return RefusedError(f"{step.model} {version} is yanked ({stored['yanked']['S']}): name another version")
    return RefusedError(
        f"{step.model} {version} has the digest {stored.get('digest', {}).get('S') or 'none'}, not "
        f"{step.digest or 'none'}: it was decided on another artifact, read the version again"
    )


def _not_registered(step: Commit) -> NotFoundError:
    version = step.yanks.version if step.yanks is not None else step.serves
    return NotFoundError(f"{step.model} {version} is not registered: apply its ModelVersion, or register it")


def _forked(step: Commit) -> RefusedError:
    return RefusedError(
        f"record {step.record.sequence} of {step.model} exists already, though the head ends before it: a table was "
        "restored or changed by hand. Run serinus audit verify, then restore both tables to one moment"
    )


def _without_condition(reasons: list[Mapping[str, Any]]) -> SerinusError:
    codes = {str(reason.get("Code", "None")) for reason in reasons} - {"None"}
    if codes & _CONTENDED:
        return ContendedError(f"DynamoDB stored nothing ({', '.join(sorted(codes))}): others write the same items")
    messages = "; ".join(str(reason["Message"]) for reason in reasons if reason.get("Message"))
    if "ValidationError" in codes or "ItemCollectionSizeLimitExceeded" in codes:
        return RefusedError(f"DynamoDB refuses the step: {messages or ', '.join(sorted(codes))}")
    return TransientError(f"DynamoDB cancelled the step and stored nothing: {messages or 'it gives no reason'}")
