"""The options for the kubeconfig and its context."""

import os
from pathlib import Path
from typing import Final

import click

from serinus.cli import cluster_names
from serinus.cli.command import FILE, Decorator, together

VARIABLE: Final = "KUBECONFIG"


def kubeconfig_options(condition: str = "") -> Decorator:
    """Return the options ``--context`` and ``--kubeconfig``.

    Args:
        condition: at the beginning of their help, such as ``with --cluster: ``.
    """
    return together(
        click.option(
            "--context",
            metavar="CONTEXT",
            shell_complete=cluster_names.contexts,
            help=f"{condition}kubeconfig context (default: the current one)",
        ),
        click.option(
            "--kubeconfig",
            type=FILE,
            metavar="FILE",
            expose_value=False,
            callback=_use,
            help=f"{condition}kubeconfig (default: that of KUBECONFIG, else ~/.kube/config)",
        ),
    )


def _use(ctx: click.Context, _: click.Parameter, file: Path | None) -> None:
    """Let everything that the command starts read this kubeconfig, until the command has ended."""
    if file is None:
        return
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(file)
    ctx.call_on_close(lambda: _restore(before))


def _restore(before: str | None) -> None:
    if before is None:
        os.environ.pop(VARIABLE, None)
    else:
        os.environ[VARIABLE] = before
