"""What ``serinus lint`` finds."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How grave a finding is. Stable: scripts may rely on it.

    ``error``: the manifest cannot work as it stands. ``warning``: it can, later or less well. ``note``: nobody could be
    asked. Without a cluster every finding is an error.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Check(StrEnum):
    """What was violated; the identifier in SARIF and JSON. Stable: scripts may rely on it."""

    YAML = "yaml"
    PLAN = "plan"
    UNKNOWN_FIELD = "unknown-field"
    SCHEMA = "schema"
    RULE = "rule"
    PARSER = "parser"
    DUPLICATE_KEY = "duplicate-key"
    DUPLICATE_OBJECT = "duplicate-object"
    TWO_ROLLOUTS = "two-rollouts"
    SHARED_ROUTE = "shared-route"
    MISSING_VERSION = "missing-version"
    MISSING_ROUTE = "missing-route"
    MISSING_RULE = "missing-rule"
    MISSING_SERVICE = "missing-service"
    NO_BACKEND = "no-backend"
    ONE_BACKEND = "one-backend"
    NOT_SERVED = "not-served"
    ROUTE_OWNED = "route-owned"
    ROUTE_REFUSED = "route-refused"
    FOREIGN_BACKEND = "foreign-backend"
    MISSING_GATEWAY = "missing-gateway"
    MISSING_GRANT = "missing-grant"
    MISSING_BACKEND = "missing-backend"
    NOT_READY = "not-ready"
    OPERATOR = "operator"
    METRIC_SOURCE = "metric-source"
    CONDITION = "condition"
    NO_SERIES = "no-series"
    COARSE_BUCKETS = "coarse-buckets"
    SCRAPE_INTERVAL = "scrape-interval"
    NOT_ASKED = "not-asked"

    @property
    def meaning(self) -> str:
        """What the check is about, for SARIF."""
        return _MEANINGS[self]


_MEANINGS = {
    Check.YAML: "The file is YAML, and each document an object.",
    Check.PLAN: "The file is a manifest, not a plan in another form.",
    Check.UNKNOWN_FIELD: "The kind has the field.",
    Check.SCHEMA: "The schema of the CRD: types, lengths, patterns, required fields.",
    Check.RULE: "The CEL rules of the CRD.",
    Check.PARSER: "The operator's own parser, where the API server takes the object.",
    Check.DUPLICATE_KEY: "No field is written twice.",
    Check.DUPLICATE_OBJECT: "No object is there twice.",
    Check.TWO_ROLLOUTS: "A model has one Rollout.",
    Check.SHARED_ROUTE: "A rule of a route carries one Rollout.",
    Check.MISSING_VERSION: "The ModelVersions of a Rollout are in the files, if these have any, or in the cluster.",
    Check.MISSING_ROUTE: "The route of a Rollout is in the files, if these have routes, or in the cluster.",
    Check.MISSING_RULE: "The route has the rule that the Rollout names.",
    Check.MISSING_SERVICE: "The Service of a ModelVersion is in the files, if these have any, or in the cluster.",
    Check.NO_BACKEND: "The version that a Rollout names says where it serves.",
    Check.ONE_BACKEND: "The version and its rollback target have different backends.",
    Check.NOT_SERVED: "The API server of the cluster has the kind.",
    Check.ROUTE_OWNED: "No other controller owns the route.",
    Check.ROUTE_REFUSED: "Every parent of the route has accepted it, with all its backends.",
    Check.FOREIGN_BACKEND: "A ModelVersion names what the route serves before the first run.",
    Check.MISSING_GATEWAY: "The Gateway and the listener of a route are there, and programmed.",
    Check.MISSING_GRANT: "A ReferenceGrant lets a route refer to a backend of another namespace.",
    Check.MISSING_BACKEND: "The backend of a ModelVersion is there, where it is no Service.",
    Check.NOT_READY: "The Service of a version has ready endpoints.",
    Check.OPERATOR: "An operator watches the namespace, and has the router of the route.",
    Check.METRIC_SOURCE: "The operator has the metric source that the Rollout names.",
    Check.CONDITION: "The metric source and the preset can measure each condition.",
    Check.NO_SERIES: "Prometheus has the series of the preset.",
    Check.COARSE_BUCKETS: "The limit of a latency is a bound of the histogram's buckets.",
    Check.SCRAPE_INTERVAL: "The source is scraped as often as its configuration says.",
    Check.NOT_ASKED: "Everything could be asked that the cluster can tell.",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one field of an object.

    Attributes:
        check: what was violated.
        path: the field, such as ``spec.stages[1].traffic``; empty for the object.
        said: the sentence, the API server's own where it would refuse the object.
        advice: what to write instead; empty where the sentence says it or nobody knows.
        blocking: the API server does not evaluate its rules on an object with such a problem.
        at_key: the place of the problem is the field's name, not its value.
        level: how grave it is.
    """

    check: Check
    path: str
    said: str
    advice: str = ""
    blocking: bool = False
    at_key: bool = False
    level: Level = Level.ERROR

    @property
    def sentence(self) -> str:
        """What is wrong, with the advice."""
        return f"{self.said}: {self.advice}" if self.advice else self.said


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem in its place.

    Attributes:
        file: as it was named; ``<stdin>`` for standard input.
        line: from 1; 0 where it is not known.
        column: from 1; 0 where it is not known.
        object: such as ``Rollout fraud-detector``; empty where there is none.
        problem: what is wrong.
    """

    file: str
    line: int
    column: int
    object: str
    problem: Problem
