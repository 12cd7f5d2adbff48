"""One step of a model's history as one transaction, and what it means when DynamoDB cancels it.

All of it is stored or nothing: the head if it is still the one decided on, the record, the note that the audit_entry is
recorded, and the version that serves or becomes known. Cancellation reasons come in the order of the actions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid5

from serinus.engine.versions.catalogue import VersionEntry
from serinus.errors import ConflictError, NotFoundError, RefusedError, SerinusError, TransientError
from serinus.ports.registry_store import Commit
from serinus.registry.dynamodb.client import ContendedError
from serinus.registry.dynamodb.items import (
    Item,
    Keys,
    data_items,
    head_item,
    record_item,
    told_item,
    version_values,
)
from serinus.registry.dynamodb.names import TableNames

HEAD_STEP, RECORD_STEP, TOLD_STEP, VERSION_STEP = "head", "record", "told", "version"

_SPACE: Final = UUID("5e1f3c5a-7f0e-5d0b-9c0f-2a6c1d1f4e83")
_FAILED: Final = "ConditionalCheckFailed"
_CONTENDED: Final = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


@dataclass(frozen=True, slots=True)
class Transaction:
    """A step as DynamoDB takes it.

    Attributes:
        step: what it stores.
        names: what each action is for, in their order.
        actions: as the API wants them.
        token: the same for the same step: DynamoDB then stores it once, however often it comes within ten minutes.
    """

    step: Commit
    names: tuple[str, ...]
    actions: tuple[Mapping[str, Any], ...]
    token: str

    @property
    def request(self) -> dict[str, Any]:
        """The request of TransactWriteItems."""
        return {"TransactItems": list(self.actions), "ClientRequestToken": self.token}


def transaction(step: Commit, keys: Keys, tables: TableNames) -> Transaction:
    """Return the step as one transaction.

    Raises:
        NotFoundError: ``serves`` is no version at all.
        RefusedError: an item is larger than DynamoDB can hold, or the step contradicts itself.
    """
    build = _Builder(step, keys, tables)
    named = list(build.actions())
    return Transaction(step, tuple(name for name, _ in named), tuple(action for _, action in named), build.token())


@dataclass(frozen=True, slots=True)
class _Builder:
    step: Commit
    keys: Keys
    tables: TableNames
    partition: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "partition", self.keys.of_model(self.step.model))

    def token(self) -> str:
        """Return the token. The hash covers id and sequence too: two steps that differ never have the same."""
        record = self.step.record
        return str(uuid5(_SPACE, f"{self.partition}/{record.id}/{record.sequence}/{record.hash}"))

    def actions(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        step, keys = self.step, self.keys
        yield HEAD_STEP, self._head()
        yield RECORD_STEP, self._create(self.tables.audit, record_item(keys, step.model, step.record))
        yield TOLD_STEP, self._create(self.tables.registry, told_item(keys, step.model, step.record))
        if step.registers is not None:
            yield VERSION_STEP, self._register(step.registers)
            for item in data_items(keys, step.model, step.registers):
                yield "data", {"Put": {"TableName": self.tables.registry, "Item": item}}
        if step.serves and (step.registers is None or step.registers.version != step.serves):
            yield VERSION_STEP, self._check()

    def _head(self) -> Mapping[str, Any]:
        before = self.step.before.audit
        put: dict[str, Any] = {
            "TableName": self.tables.registry,
            "Item": head_item(self.keys, self.step.model, self.step.after),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if before.sequence == 0:
            return {"Put": put | {"ConditionExpression": "attribute_not_exists(pk)"}}
        return {
            "Put": put
            | {
                "ConditionExpression": "#seq = :seq AND #hash = :hash",
                "ExpressionAttributeNames": {"#seq": "seq", "#hash": "hash"},
                "ExpressionAttributeValues": {":seq": {"N": str(before.sequence)}, ":hash": {"S": before.hash}},
            }
        }

    @staticmethod
    def _create(table: str, item: Item) -> Mapping[str, Any]:
        return {"Put": {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}

    def _register(self, entry: VersionEntry) -> Mapping[str, Any]:
        """Make a version known; where it is known already it stays as it is, with its labels and its time."""
        step = self.step
        serves = step.serves == entry.version
        if serves and entry.digest != step.digest:
            raise RefusedError(f"{entry.version} shall serve with {step.digest}, but is registered with {entry.digest}")
        values = version_values(self.keys, step.model, entry)
        kept = "attribute_not_exists(pk) OR #specHash = :specHash"
        return {
            "Update": {
                "TableName": self.tables.registry,
                "Key": self.keys.version(step.model, entry.version),
                "UpdateExpression": "SET " + ", ".join(f"#{one} = if_not_exists(#{one}, :{one})" for one in values),
                "ConditionExpression": f"({kept}) AND attribute_not_exists(#yanked)" if serves else kept,
                "ExpressionAttributeNames": {f"#{one}": one for one in values}
                | ({"#yanked": "yanked"} if serves else {}),
                "ExpressionAttributeValues": {f":{one}": value for one, value in values.items()},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def _check(self) -> Mapping[str, Any]:
        step = self.step
        try:
            key = self.keys.version(step.model, step.serves)
        except ValueError as problem:
            raise _unknown(step) from problem
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


# ---- what a cancellation means -----------------------------------------------------------------


def cancelled(asked: Transaction, reasons: list[Mapping[str, Any]]) -> SerinusError | None:
    """Return what it means that the transaction was cancelled; None where it is stored already.

    A condition that does not hold says more than a conflict beside it, and that the audit_entry is told says all.
    """
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for name, reason in zip(asked.names, reasons, strict=False):
        by_name.setdefault(name, []).append(reason)
    failed = {name: reason for name, group in by_name.items() for reason in group if reason.get("Code") == _FAILED}
    if TOLD_STEP in failed:
        return None
    if HEAD_STEP in failed:
        return _overtaken(asked.step, failed[HEAD_STEP].get("Item"))
    if VERSION_STEP in failed:
        return _unfit(asked.step, failed[VERSION_STEP].get("Item"))
    if RECORD_STEP in failed:
        return _forked(asked.step)
    return _unanswered(reasons)


def _overtaken(step: Commit, winner: Item | None) -> ConflictError:
    serving = (winner or {}).get("version", {}).get("S") or "nothing"
    number = (winner or {}).get("seq", {}).get("N", "0")
    return ConflictError(
        f"{step.model} is at record {number} with {serving} in production, not at {step.before.audit.sequence}: "
        "read the head, decide again"
    )


def _unfit(step: Commit, found: Item | None) -> SerinusError:
    entry = step.registers
    if found is None:
        return _unknown(step)
    version = found.get("version", {}).get("S", "")
    if entry is not None and version == entry.version and found.get("specHash", {}).get("S") != entry.spec_hash:
        return RefusedError(
            f"{step.model} {version} is registered with another spec: a version never changes, release another one"
        )
    if "yanked" in found:
        return RefusedError(f"{step.model} {version} is yanked ({found['yanked']['S']}): name another version")
    return RefusedError(
        f"{step.model} {version} has the digest {found.get('digest', {}).get('S') or 'none'}, not "
        f"{step.digest or 'none'}: it was decided on another artifact, read the version again"
    )


def _unknown(step: Commit) -> NotFoundError:
    return NotFoundError(f"{step.model} {step.serves} is not registered: apply its ModelVersion, or register it")


def _forked(step: Commit) -> RefusedError:
    return RefusedError(
        f"record {step.record.sequence} of {step.model} is there already, though the head ends before it: a table was "
        "restored or changed by hand. Run serinus audit verify, then restore both tables to one moment"
    )


def _unanswered(reasons: list[Mapping[str, Any]]) -> SerinusError:
    codes = {str(reason.get("Code", "None")) for reason in reasons} - {"None"}
    if codes & _CONTENDED:
        return ContendedError(f"DynamoDB stored nothing ({', '.join(sorted(codes))}): others write the same items")
    said = "; ".join(str(reason["Message"]) for reason in reasons if reason.get("Message"))
    if "ValidationError" in codes or "ItemCollectionSizeLimitExceeded" in codes:
        return RefusedError(f"DynamoDB refuses the step: {said or ', '.join(sorted(codes))}")
    return TransientError(f"DynamoDB cancelled the step and stored nothing: {said or 'it gives no reason'}")
