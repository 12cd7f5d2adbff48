"""``serinus audit export``: writes the audit records of a model to a file, and a manifest beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import click

from serinus import __version__
from serinus.audit.export import Export, Form, manifest_file, write_export
from serinus.cli.audit.output import csv_heading, csv_line
from serinus.cli.command import FILE, Params, choice, command
from serinus.cli.context import CliContext
from serinus.cli.output import echo
from serinus.cli.session import RegistryOptions, model_argument, name_of, open_registry, registry_options
from serinus.errors import ConfigurationError

OK: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Options of ``serinus audit export``; the default output is named after the model."""

    model: str
    registry: RegistryOptions
    form: Form
    output: Path | None

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        registry = RegistryOptions.from_params(params)
        return cls(model=params["model"], registry=registry, form=Form(params["format"]), output=params["output"])


@command("export", ExportOptions.from_params, "write the records of a model to a file, with a manifest beside it")
@model_argument
@registry_options
@click.option(
    "--format",
    type=choice(Form),
    default=Form.JSONL.value,
    show_default=True,
    help="jsonl: the records as they are stored, which can be verified; csv: for a spreadsheet",
)
@click.option("-o", "--output", type=FILE, metavar="FILE", help="file to write (default: <model>-audit.<format>)")
async def export(options: ExportOptions, context: CliContext) -> int:
    """Run the command."""
    model = options.registry.model_key(options.model)
    file = options.output or Path(f"{model.name}-audit.{options.form.value}")
    what = Export(model=model, form=options.form, at=context.clock.now(), by=__version__)
    if options.form is Form.CSV:
        what = Export(model=model, form=Form.CSV, at=what.at, by=what.by, first_line=csv_heading(), line=csv_line)
    async with open_registry(options.registry, context) as store:
        head = await store.read_head(model)
        if not head.audit.sequence:
            raise ConfigurationError(
                f"there is no record of {name_of(model)} in {options.registry.url}: is the namespace right?"
            )
        # Up to the head's last record: a later one may not be committed yet.
        records = store.read_records(model, after=head.audit.pruned_through, through=head.audit.sequence)
        manifest = await write_export(records, file, what)
    echo(f"{file}: {manifest.records} records, #{manifest.first_sequence} to #{manifest.last_sequence}")
    echo(f"{manifest_file(file)}: {manifest.sha256}")
    if options.form is Form.JSONL:
        echo(f"Verify it anywhere, without the registry: serinus audit verify --file {file}")
    return OK
