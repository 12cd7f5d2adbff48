"""Schemas that are still to be compared with those of a model's other versions, in parts that another thread takes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from serinus.api.model import ModelSpec
from serinus.api.signature import Signature
from serinus.engine.schema.compatibility import CompatibilityVerdict, KnownVersion
from serinus.engine.versions.admission import VersionUnderReview, compare, known_version

AT_ONCE: Final = 10_000
"""The work that is done in place, in fields compared: about 25 ms, for which the event loop stands still."""

PART: Final = 400_000
"""The work of one part, about a second: then whoever waits learns whether the versions are still the same."""


class KnownVersions:
    """The versions of a model that others are compared with.

    Those of one signature have one object for it: it may have thousands of fields, and the same object is found to be
    equal at once.
    """

    def __init__(self, candidates: Sequence[VersionUnderReview]) -> None:
        """Take the versions of these candidates."""
        signatures: dict[Signature | None, Signature | None] = {}
        self.by_number: dict[str, KnownVersion] = {}
        for candidate in candidates:
            known = known_version(candidate)
            shared = signatures.setdefault(known.signature, known.signature)
            self.by_number[known.version] = replace(known, signature=shared)
        self.identity = _identity(candidates)
        self._signatures = [signature for signature in signatures if signature is not None]

    def with_versions(self, candidates: Iterable[VersionUnderReview]) -> "KnownVersions":
        """Return the versions of these candidates: this object where they are the same ones."""
        candidates = list(candidates)
        return self if _identity(candidates) == self.identity else KnownVersions(candidates)

    def work(self, candidate: VersionUnderReview) -> int:
        """Return how much there is to do for a comparison of this version with all others, in fields compared."""
        own = _fields(candidate.spec.signature)
        return len(self.by_number) + self._all_fields + own * len(self._signatures)

    @cached_property
    def _all_fields(self) -> int:
        return sum(_fields(signature) for signature in self._signatures)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One version to compare with the model's others.

    Attributes:
        candidate: the version.
        known: the versions to compare it with; it may be one of them.
        policy: the Model's policy.
        production: the version in production; None where there is none.
        versions: what identifies all of the above: a verdict holds for as long as they are the same.
    """

    candidate: VersionUnderReview
    known: KnownVersions = field(compare=False)
    policy: ModelSpec
    production: str | None
    versions: tuple[object, ...]

    @property
    def version(self) -> str:
        """The number of the version."""
        return self.candidate.spec.version

    @property
    def question(self) -> tuple[object, ...]:
        """What the verdict depends on."""
        return (self.candidate.spec_hash, self.production, *self.versions)

    @property
    def work(self) -> int:
        """How much there is to do, in fields compared."""
        return self.known.work(self.candidate)

    def answer(self) -> "Answer":
        """Compare. Pure."""
        verdict = compare(self.candidate, tuple(self.known.by_number.values()), self.policy, self.production)
        return Answer(self.version, self.question, verdict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a comparison, and the question that it answers."""

    version: str
    question: tuple[object, ...]
    verdict: CompatibilityVerdict


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Comparisons that one thread makes without a pause."""

    parts: tuple[Comparison, ...]

    @classmethod
    def first_of(cls, due: Sequence[Comparison]) -> "Comparisons":
        """Return the first of these, as many as take about a second, and at least one."""
        taken, work = 1, due[0].work
        while taken < len(due) and work + due[taken].work <= PART:
            work += due[taken].work
            taken += 1
        return cls(tuple(due[:taken]))

    def answers(self) -> list[Answer]:
        """Make all of them. Pure."""
        return [comparison.answer() for comparison in self.parts]


class Verdicts:
    """The verdicts on the schemas of one model's versions: some are known, few are found in place, the rest is due."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        """Begin with these answers, by version."""
        self.answers = dict(answers)
        self.due: list[Comparison] = []
        self._left = AT_ONCE

    def of(self, comparison: Comparison) -> CompatibilityVerdict | None:
        """Return the verdict; None where the comparison is due."""
        found = self.answers.get(comparison.version)
        if found is not None and found.question == comparison.question:
            return found.verdict
        work = comparison.work
        if work > self._left:
            self.due.append(comparison)
            return None
        self._left -= work
        found = self.answers[comparison.version] = comparison.answer()
        return found.verdict


def _identity(candidates: Sequence[VersionUnderReview]) -> frozenset[tuple[str, str, bool]]:
    """Return what a comparison with these versions depends on: their specs, by hash, and which are yanked."""
    return frozenset((one.spec.version, one.spec_hash, bool(one.yanked)) for one in candidates)


def _fields(signature: Signature | None) -> int:
    if signature is None:
        return 0
    fields = (*signature.inputs, *signature.outputs, *signature.parameters)
    return sum(1 + len(one.categories) for one in fields)
