"""How a command runs: click parses its parameters, typed options are read once from them, a handler runs on those."""

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import click
from click.core import ParameterSource

from serinus.cli.context import CliContext
from serinus.cli.output import drop_output, flush_output
from serinus.errors import SerinusError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Params: TypeAlias = Mapping[str, Any]
"""What click has parsed, by the names of the parameters."""

Result: TypeAlias = int | Coroutine[Any, Any, int]
"""The exit status, or the work that returns it."""

Statuses: TypeAlias = dict[int, str]
"""What each exit status of a command means."""

Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]

Options = TypeVar("Options")

DONE: Final = "done"
FAILED_STATUS: Final = 1
FAILED: Final = "failed, standard error says why"
USAGE: Final = "wrong usage, nothing was done"
STATUSES: Final[Statuses] = {0: DONE, 1: FAILED, 2: USAGE}
"""The exit statuses of a command that states no others."""


class ClosedPipeError(SerinusError):
    """Whoever reads standard output stopped before the result was complete."""


class Command(click.Command):
    """A command of the program.

    Attributes:
        statuses: what its exit statuses mean; ``--help`` and docs/reference/commands.md have them.
    """

    def __init__(  # noqa: PLR0913 - what one decorator takes
        self,
        name: str | None,
        *,
        read: Callable[[Params], Any],
        statuses: Statuses,
        closed_pipe: int | None,
        exclusive: Sequence[str],
        needed: Sequence[str],
        **others: Any,  # noqa: ANN401 - those of click
    ) -> None:
        """Take what :func:`command` is given, and click's own arguments."""
        ends = "; ".join(f"{status} {meaning}" for status, meaning in sorted(statuses.items()))
        super().__init__(name, **{**others, "epilog": f"Exit status: {ends}."})
        self.statuses: Final = MappingProxyType(statuses)
        self._read, self._closed_pipe = read, closed_pipe
        self._exclusive, self._needed = exclusive, needed

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words; click.UsageError for parameters that exclude each other, or where one is needed."""
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            given = self._given(ctx, self._exclusive)
            if len(given) > 1:
                raise click.UsageError(f"{given[1]} cannot be given together with {given[0]}.", ctx)
            if self._needed and not self._given(ctx, self._needed):
                names = " or ".join(self._shown(ctx, self._needed))
                raise click.UsageError(f"Missing parameter: {names}.", ctx)
        return rest

    def _given(self, ctx: click.Context, names: Sequence[str]) -> list[str]:
        return self._shown(ctx, [one for one in names if ctx.get_parameter_source(one) is ParameterSource.COMMANDLINE])

    def _shown(self, ctx: click.Context, names: Sequence[str]) -> list[str]:
        return [param.get_error_hint(ctx) for name in names for param in self.params if param.name == name]

    def invoke(self, ctx: click.Context) -> int:
        """Run the handler and return the exit status.

        Raises:
            ClosedPipeError: the reader of standard output has gone, and no exit status is stated for that.
            click.UsageError: the options contradict each other.
            SerinusError: the command could not be done.
        """
        handler: Callable[[Any, CliContext], Result] = self.callback  # type: ignore[assignment]  # click has it optional
        try:
            options = self._read(ctx.params)
        except click.UsageError:
            raise
        except SerinusError as problem:
            # Only the words were looked at so far.
            raise click.UsageError(str(problem), ctx) from problem
        try:
            result = handler(options, ctx.find_object(CliContext) or CliContext())
            status = result if isinstance(result, int) else _completed(result)
            flush_output()
        except BrokenPipeError as problem:
            drop_output()
            if self._closed_pipe is None:
                raise ClosedPipeError("standard output was closed before the result was complete") from problem
            return self._closed_pipe
        return status


def command(  # noqa: PLR0913 - all but three have a default
    name: str,
    read: Callable[[Params], Options],
    about: str,
    *,
    details: str = "",
    statuses: Statuses = STATUSES,
    closed_pipe: int | None = None,
    exclusive: Sequence[str] = (),
    needed: Sequence[str] = (),
) -> Callable[[Callable[[Options, CliContext], Result]], Command]:
    """Return the decorator that makes a command of a handler, above those of its parameters.

    Args:
        name: how it is called.
        read: returns the typed options; the only code that sees what click has parsed.
        about: what it does, as a clause without a full stop.
        details: more sentences, for its own help page.
        statuses: what its exit statuses mean.
        closed_pipe: the exit status if the reader of standard output stops early, as ``head`` does; None where that
            is an error.
        exclusive: the names of parameters of which one at most may be given.
        needed: the names of parameters of which one at least must be given.
    """
    # click cuts a short help that it makes itself.
    return click.command(
        name,
        cls=Command,
        help=f"{about[0].upper()}{about[1:]}.{' ' * bool(details)}{details}",
        short_help=about,
        read=read,
        statuses=statuses,
        closed_pipe=closed_pipe,
        exclusive=exclusive,
        needed=needed,
    )


class Group(click.Group):
    """Commands that belong together. Each loads its own module, and only when it is asked for.

    Together the modules take a second to load, for which ``serinus status`` must not wait.
    """

    def __init__(self, name: str, about: str, places: Mapping[str, str]) -> None:
        """Take the name, what it does, and by verb where the command is: ``module:attribute``."""
        super().__init__(
            name,
            help=f"{about[0].upper()}{about[1:]}.",
            short_help=about,
            subcommand_metavar="COMMAND …",
            context_settings={"help_option_names": ["-h", "--help"]},
        )
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's method
        """Return the verbs in their own order: click would sort them."""
        return [*self._places]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's method
        """Return a command; None where there is none of this name."""
        if cmd_name not in self._places:
            return None
        module, _, attribute = self._places[cmd_name].partition(":")
        found: click.Command = getattr(import_module(module), attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the words begin with; click.NoSuchCommand names those that are spelt nearly so."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as problem:
            raise click.NoSuchCommand(problem.command_name, possibilities=self._places, ctx=ctx) from None


def together(*decorators: Decorator) -> Decorator:
    """Return one decorator for several parameters, which are shown in this order."""

    def decorate(handler: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            handler = decorator(handler)
        return handler

    return decorate


def choice(values: Iterable[str]) -> click.Choice[str]:
    """Return the type of a parameter that takes one of these texts; click would take an enum by its names."""
    return click.Choice([str(value) for value in values])


class _FilePath(click.ParamType[Path]):
    """A path that is not looked at here: the error of whoever opens the file says more. Shells complete it."""

    name = "path"

    def convert(self, value: str | Path, *_: object) -> Path:
        """Return the path."""
        return Path(value)

    def shell_complete(self, ctx: object, param: object, incomplete: str) -> "list[CompletionItem[str]]":  # noqa: ARG002 - click's method
        """Return that the shell shall offer files."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only completion needs it

        return [CompletionItem(incomplete, type="file")]


FILE: Final = _FilePath()


def _completed(work: Coroutine[Any, Any, int]) -> int:
    # It loads for longer than a command that reads one object takes.
    import asyncio  # noqa: PLC0415

    return asyncio.run(work)
