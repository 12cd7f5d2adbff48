"""All checks of ``serinus lint`` over all files."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from serinus.api.names import GROUP
from serinus.cli.lint.documents import Document, documents_of, read_sources
from serinus.cli.lint.finding import Check, Finding, Level, Problem
from serinus.cli.lint.folder_check import folder_findings
from serinus.cli.lint.object_check import is_ours, object_problems
from serinus.cli.lint.plan_check import is_plan, plan_problems

FolderCheck: TypeAlias = Callable[[Sequence[Document]], Iterable[Finding]]
"""Checks the objects of all files against each other, and against what else there is."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a check.

    Attributes:
        findings: in the order of files and lines.
        objects: how many objects of our kinds there were.
        files: the files that were read.
    """

    findings: Sequence[Finding]
    objects: int
    files: Sequence[str]

    @property
    def summary(self) -> str:
        """One line for people."""
        if not self.objects and not self.findings:
            where = self.files[0] if len(self.files) == 1 else _counted(len(self.files), "file")
            return f"nothing to check: no object of {GROUP} in {where}"
        found = _counted(len(self.findings), "finding") if self.findings else "no findings"
        return f"{found}{self._levels} in {_counted(self.objects, 'object')} of {_counted(len(self.files), 'file')}"

    @property
    def has_errors(self) -> bool:
        """Whether a finding is an error."""
        return any(finding.problem.level is Level.ERROR for finding in self.findings)

    @property
    def _levels(self) -> str:
        """How many findings there are of each level; empty where all are errors."""
        numbers = Counter(finding.problem.level for finding in self.findings)
        if numbers.keys() <= {Level.ERROR}:
            return ""
        return f" ({', '.join(_counted(numbers[level], level) for level in Level if numbers[level])})"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def check_files(names: Sequence[str], folder_check: FolderCheck = folder_findings) -> Checked:
    """Check files, folders and standard input.

    Args:
        names: of them.
        folder_check: checks the objects against each other.

    Raises:
        ConfigurationError: one cannot be read.
        SerinusError: by ``folder_check``.
    """
    findings: list[Finding] = []
    documents: list[Document] = []
    files: list[str] = []
    for source in read_sources(names):
        files.append(source.name)
        read, broken = documents_of(source)
        findings += broken
        documents += read
        if any(is_ours(document.manifest) for document in read):
            for number, name, place in source.twice():
                twice = Problem(Check.DUPLICATE_KEY, name, "is written twice in one object: only the last one counts")
                titles = [document.title for document in read if document.number == number and not document.prefix]
                findings.append(Finding(source.name, place.line, place.column, "".join(titles), twice))
        for document in read:
            if is_plan(document.manifest):
                findings += [document.finding(one) for one in plan_problems(document.manifest, source.name)]
    ours = [document for document in documents if is_ours(document.manifest)]
    for document in ours:
        findings += [document.finding(problem) for problem in object_problems(document.manifest)]
    findings += folder_check(documents)
    order = {name: index for index, name in enumerate(dict.fromkeys(finding.file for finding in findings))}
    ranked = sorted(findings, key=lambda one: (order[one.file], one.line, one.column))
    return Checked(ranked, len(ours), files)
