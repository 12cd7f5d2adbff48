"""Which clusters share the tables, and where the heads and chains of each one are.

A cluster claims its name once, in one transaction, with its identity: a second cluster of that name is refused. The
first one of a scope takes over the partitions from before clusters had names, where they are: nothing is copied, and
the chains go on. Every other cluster has partitions of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from botocore.exceptions import ClientError

from serinus.errors import ClusterTakenError, ConfigurationError, NotFoundError, TransientError
from serinus.registry.dynamodb.client import Clients, read, write
from serinus.registry.dynamodb.items import FLEET_INDEX
from serinus.registry.dynamodb.keys import Item, Key, Keys, text
from serinus.registry.dynamodb.names import TableNames, checked_cluster, checked_scope
from serinus.settings import DynamoDbSettings

_CLUSTERS: Final = "CLUSTERS"
_SEPARATOR: Final = " "
"""Between former identities; no UID has one."""
_TRIES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A cluster's claim on its name.

    Attributes:
        scope: the fleet that it belongs to.
        name: the cluster's name.
        identity: the UID of its namespace kube-system; empty where no operator has claimed the name, or it is released.
        keys: those of its models.
    """

    scope: str
    name: str
    identity: str
    keys: Keys


class ClusterDirectory:
    """Finds and makes the claims of clusters. Every method blocks; errors as of ports.RegistryStore."""

    def __init__(self, settings: DynamoDbSettings, clients: Clients) -> None:
        """Initialize without sending a request; ConfigurationError for a name that a key must not contain."""
        self._scope, self._name = checked_scope(settings), checked_cluster(settings)
        self._table, self._clients = TableNames.of(settings).registry, clients
        self._found: Claim | None = None
        self._claimed: Keys | None = None

    # ---- reading -------------------------------------------------------------------------------

    def keys(self) -> Keys:
        """Return the keys of the cluster that is named; of the only one where none is named.

        A name that is not claimed yet has the partitions from before clusters had names, unless another has them.

        Raises:
            ConfigurationError: none is named, and there are several.
        """
        if self._found is None:
            self._found = self._claim_of(self._name) if self._name else self._only_claim()
        if self._found is not None:
            return self._found.keys
        before = Keys.before_names(self._scope)
        if not self._name or self._owner(before) is None:
            return replace(before, cluster=self._name)
        return Keys.of_cluster(self._scope, self._name)

    def claims(self) -> list[Claim]:
        """Return the claims of all clusters of this scope, by name."""
        found: list[Claim] = []
        cursor: Key | None = None
        while True:
            more: dict[str, object] = {"ExclusiveStartKey": cursor} if cursor else {}
            answer = read(
                self._clients.reads.query,
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND begins_with(sk, :scope)",
                ExpressionAttributeValues={":pk": text(_CLUSTERS), ":scope": text(f"{self._scope}/")},
                ConsistentRead=True,
                **more,
            )
            found += [self._claim_in(item) for item in answer["Items"]]
            cursor = answer.get("LastEvaluatedKey")
            if cursor is None:
                return sorted(found, key=lambda claim: claim.name)

    def _only_claim(self) -> Claim | None:
        claims = self.claims()
        if len(claims) > 1:
            names = ", ".join(claim.name for claim in claims)
            raise ConfigurationError(
                f"several clusters have heads in these tables ({names}): name one, with --cluster or with cluster= in "
                "the registry's address"
            )
        return next(iter(claims), None)

    def _claim_of(self, name: str) -> Claim | None:
        item = self._get(self._key(self._scope, name))
        if item is None:
            # A scope that was a cluster's name has become a cluster of that name.
            owner = self._owner(Keys.before_names(self._scope))
            item = self._get(owner) if owner is not None and owner["sk"]["S"].endswith(f"/{name}") else None
        return self._claim_in(item) if item is not None else None

    def _claim_in(self, item: Item) -> Claim:
        scope, _, name = item["sk"]["S"].partition("/")
        identity = item.get("identity", {}).get("S", "")
        former = tuple(item.get("former", {}).get("S", "").split())
        before = item.get("before", {}).get("S")
        own = Keys.of_cluster(scope, name)
        place = own if before is None else replace(Keys.before_names(before), numbers=own.numbers)
        keys = replace(place, cluster=name, identity=identity, former=former)
        return Claim(scope=scope, name=name, identity=identity, keys=keys)

    def _owner(self, before: Keys) -> Key | None:
        """Return the key of the claim that has the partitions from before clusters had names."""
        item = self._get({"pk": text(f"PLACE#{before.prefix}"), "sk": text("-")})
        return {"pk": text(_CLUSTERS), "sk": item["claim"]} if item is not None else None

    def _get(self, key: Key) -> Item | None:
        answer = read(self._clients.reads.get_item, TableName=self._table, Key=key, ConsistentRead=True)
        item: Item | None = answer.get("Item")
        return item

    @staticmethod
    def _key(scope: str, name: str) -> Key:
        return {"pk": text(_CLUSTERS), "sk": text(f"{scope}/{name}")}

    def check(self, identity: str) -> None:
        """Raise ClusterTakenError where the cluster's name belongs to another identity."""
        known = self._claim_of(self._name) if self._name and identity else None
        if known is not None and known.identity not in {"", identity}:
            raise ClusterTakenError(_taken(known.name, known.identity, identity))

    # ---- claiming ------------------------------------------------------------------------------

    def claim(self, identity: str) -> Keys:
        """Claim the cluster's name, unless that is done, and return its keys.

        Args:
            identity: of the cluster that the operator runs in; empty for a client outside of it, which claims nothing
                from an operator.

        Raises:
            ClusterTakenError: another cluster has the name.
            ConfigurationError: no cluster is named.
        """
        if self._claimed is not None:
            return self._claimed
        name = self._name or self.keys().cluster
        if not name:
            raise ConfigurationError(
                "no cluster is named, and a head is always one cluster's: name it with --cluster, with cluster= in the "
                "registry's address or in registry.dynamodb.cluster"
            )
        for _ in range(_TRIES):
            known = self._claim_of(name)
            if known is None:
                self._create(name, identity)
            elif identity and not known.identity:
                self._change(known, "SET #identity = :identity", identity, {})
            elif identity and known.identity != identity:
                self.check(identity)
            else:
                self._found, self._claimed = known, known.keys
                return known.keys
        raise TransientError(f"the claim of the cluster {name} changed {_TRIES} times while it was made: try again")

    def release(self, name: str) -> str:
        """Free a cluster's name for another identity, which takes over its heads; return the former identity.

        Raises:
            NotFoundError: no cluster has this name.
        """
        for _ in range(_TRIES):
            known = self._claim_of(name)
            if known is None:
                names = ", ".join(claim.name for claim in self.claims()) or "none"
                raise NotFoundError(f"no cluster is named {name}: known are {names}")
            former: Key = {":former": text(_SEPARATOR.join(dict.fromkeys((*known.keys.former, known.identity))))}
            released = "SET #identity = :identity, former = :former"
            if not known.identity or self._change(known, released, "", former):
                return known.identity
        raise TransientError(f"the claim of the cluster {name} changed {_TRIES} times: try again")

    def _create(self, name: str, identity: str) -> None:
        """Create the claim, with the partitions from before clusters had names where they are there and nobody's."""
        key = self._key(self._scope, name)
        for scope in dict.fromkeys((self._scope, name) if not self._scope else (self._scope,)):
            before = Keys.before_names(scope)
            if self._owner(before) is None and self._has_heads(before):
                place = {"pk": text(f"PLACE#{before.prefix}"), "sk": text("-"), "claim": key["sk"]}
                self._put(key | {"identity": text(identity), "before": text(scope)}, place)
                return
        self._put(key | {"identity": text(identity)})

    def _has_heads(self, keys: Keys) -> bool:
        answer = read(
            self._clients.reads.query,
            TableName=self._table,
            IndexName=FLEET_INDEX,
            KeyConditionExpression="fleet = :fleet",
            ExpressionAttributeValues={":fleet": text(keys.fleet)},
            Limit=1,
        )
        return bool(answer["Items"])

    def _put(self, *items: Item) -> None:
        put = {"TableName": self._table, "ConditionExpression": "attribute_not_exists(pk)"}
        self._send([{"Put": put | {"Item": item}} for item in items])

    def _change(self, known: Claim, update: str, identity: str, values: Key) -> bool:
        change = {
            "TableName": self._table,
            "Key": self._key(known.scope, known.name),
            "UpdateExpression": update,
            "ConditionExpression": "attribute_exists(pk) AND #identity = :known",
            "ExpressionAttributeNames": {"#identity": "identity"},
            "ExpressionAttributeValues": {":identity": text(identity), ":known": text(known.identity)} | values,
        }
        return self._send([{"Update": change}])

    def _send(self, actions: list[Mapping[str, Any]]) -> bool:
        """Send a transaction and return whether it was applied; if not, another client was faster."""
        try:
            write(self._clients.commits.transact_write_items, TransactItems=actions)
        except ClientError:
            return False
        return True


def _taken(name: str, theirs: str, ours: str) -> str:
    return (
        f"the cluster name {name} belongs to another cluster, whose namespace kube-system has the UID {theirs}; this "
        f"one's is {ours}. Nothing was written to its heads. Give this cluster a name of its own in "
        "registry.dynamodb.cluster; or, if it replaces the other one, which must not run any more, release the name: "
        f"serinus registry dynamodb release-cluster {name} --yes --registry dynamodb://…"
    )
