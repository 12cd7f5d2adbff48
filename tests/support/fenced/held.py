"""The fenced commands that no test of the pages runs: what they need, and the test that runs their like."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Held:
    """Why a command is not run as the page has it.

    Attributes:
        needs: what no test of the pages has.
        tests: files or folders whose tests run the same verb of the same program; empty where none can.
        written: how the tests write the verb, where they write it in another way.
    """

    needs: str
    tests: tuple[str, ...] = ()
    written: str = ""


HELD: Final[Mapping[str, Held]] = {
    r"^buildah ": Held("buildah, and a base image with a digest of the reader", ("tests/support/image",)),
    r"\bhelm test|rollout status deployment|kubectl logs": Held("the operator as a pod; in the tests it is a process"),
}
"""By a pattern of command lines."""
