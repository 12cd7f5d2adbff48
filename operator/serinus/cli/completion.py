"""`kubectl_complete-serinus`: click's completion, told to kubectl in its protocol for plugins.

The protocol is that of Cobra (its "__complete" command): a line for each candidate, with its explanation after a tab,
and a last line with a colon and a sum of directives. Completion of ``serinus`` itself in bash, zsh and fish is click's.
"""

import sys
from typing import TYPE_CHECKING, Final

from click.shell_completion import ShellComplete

from serinus.cli.main import PROGRAM, cli
from serinus.cli.output import printable

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

NO_FILES: Final = ":4"
"""Cobra's ShellCompDirectiveNoFileComp."""

FILES: Final = ":0"
"""Cobra's ShellCompDirectiveDefault: the shell offers files."""


class KubectlCompletion(ShellComplete):
    """Completes the words that follow ``kubectl serinus``."""

    name = "kubectl"
    source_template = ""

    def __init__(self, words: list[str]) -> None:
        """Take the words; the last one, which may be empty, is completed."""
        super().__init__(cli, {}, PROGRAM, "")
        self._words = words or [""]

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before, and the one that is completed."""
        return self._words[:-1], self._words[-1]

    def format_completion(self, item: "CompletionItem[str]") -> str:
        """Return the line of a candidate."""
        shown = " ".join(printable(item.help or "").split())
        return f"{printable(item.value)}\t{shown}" if shown else printable(item.value)

    def complete(self) -> str:
        """Return the lines of the protocol."""
        items = self.get_completions(*self.get_completion_args())
        files = any(item.type != "plain" for item in items)
        lines = [self.format_completion(item) for item in items if item.type == "plain"]
        return "\n".join([*lines, FILES if files else NO_FILES])


def main() -> int:
    """Print the candidates for the last of the arguments; return 0, as a shell wants no errors."""
    print(KubectlCompletion(sys.argv[1:]).complete())
    return 0
