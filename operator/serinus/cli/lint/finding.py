"""What ``serinus lint`` finds."""

from dataclasses import dataclass
from enum import StrEnum


class Check(StrEnum):
    """What was violated; the identifier in SARIF and JSON. Stable: scripts may rely on it."""

    YAML = "yaml"
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

    @property
    def meaning(self) -> str:
        """What the check is about, for SARIF."""
        return _MEANINGS[self]


_MEANINGS = {
    Check.YAML: "The file is YAML, and each document an object.",
    Check.UNKNOWN_FIELD: "The kind has the field.",
    Check.SCHEMA: "The schema of the CRD: types, lengths, patterns, required fields.",
    Check.RULE: "The CEL rules of the CRD.",
    Check.PARSER: "The operator's own parser, where the API server takes the object.",
    Check.DUPLICATE_KEY: "No field is written twice.",
    Check.DUPLICATE_OBJECT: "No object is there twice.",
    Check.TWO_ROLLOUTS: "A model has one Rollout.",
    Check.SHARED_ROUTE: "A rule of a route carries one Rollout.",
    Check.MISSING_VERSION: "The ModelVersions of a Rollout are there, if the files have any of that model.",
    Check.MISSING_ROUTE: "The route of a Rollout is there, if the files have routes.",
    Check.MISSING_RULE: "The route has the rule that the Rollout names.",
    Check.MISSING_SERVICE: "The Service of a ModelVersion is there, if the files have Services.",
    Check.NO_BACKEND: "The version that a Rollout names says where it serves.",
    Check.ONE_BACKEND: "The version and its rollback target have different backends.",
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
    """

    check: Check
    path: str
    said: str
    advice: str = ""
    blocking: bool = False
    at_key: bool = False

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
