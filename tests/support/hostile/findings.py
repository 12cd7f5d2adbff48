"""What was seen of the cases."""

from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """What came of a case that kept all laws."""

    REFUSED = "refused by the API server"
    NAMED = "stored, and the status says what is wrong"
    FOLLOWED = "valid, and followed"


@dataclass(slots=True)
class Findings:
    """What was seen.

    Attributes:
        outcomes: of each case that kept all laws.
        problems: each law that was broken, with the case.
        unnamed: refused cases whose refusal does not name the field.
        decisions: how many canaries of the sentinel were decided.
        log: the operator's.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    decisions: int = 0
    log: str = ""

    def count(self, outcome: Outcome) -> int:
        """Return how many cases had this outcome."""
        return sum(each is outcome for each in self.outcomes.values())
