"""``serinus version``."""

from serinus import __version__
from serinus.cli.command import command
from serinus.cli.context import CliContext
from serinus.cli.output import echo

OK = 0


@command("version", lambda _: None, "print the version")
def version(_: None, __: CliContext) -> int:
    """Run the command."""
    echo(__version__)
    return OK
