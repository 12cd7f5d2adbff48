"""``serinus import``: its words. The work is in :mod:`serinus.cli.import_mlflow`, whose libraries are slow to load."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no other name for it


def add_parser(verbs: "Verbs") -> None:
    """Add the verb to the command line; :func:`run` does it."""
    about = "write a ModelVersion from what MLflow knows"
    parser = verbs.add_parser("import", help=about, description=about)
    sources = parser.add_subparsers(dest="source", required=True, metavar="SOURCE")
    server = sources.add_parser("mlflow", help="from a version registered at an MLflow tracking server")
    server.add_argument("reference", help="models:/fraud-detector/7 or models:/fraud-detector@champion")
    server.add_argument("--tracking-uri", help="the tracking server; MLFLOW_TRACKING_URI where it is not given")
    server.add_argument("--version", help="the SemVer; the tag `semver` or `version` where it is not given")
    server.add_argument("--model", help="the model's name; that of the registered model where it is not given")
    file = sources.add_parser("mlmodel", help="from an MLmodel file, without a server")
    file.add_argument("path", type=Path, help="the MLmodel file")
    file.add_argument("--version", required=True, help="the SemVer, such as 2.3.1")
    file.add_argument("--model", required=True, help="the model's name")
    for one in (server, file):
        one.add_argument("-n", "--namespace", default="", help="of the ModelVersion")
        one.add_argument("--backend", help="the Service where it serves, as name:port")
        one.add_argument("--artifact-uri", default="", help="where its files are, if not where MLflow says")
        one.add_argument("--repository", default="", help="of the code, where MLflow does not know it")
        one.add_argument("--hash", action="store_true", help="read all files of the model for its digest and size")
        one.add_argument("-o", "--output", type=Path, help="write to this file instead of stdout")


def run(given: argparse.Namespace, environment: Mapping[str, str] | None = None) -> int:
    """Write the manifest and return 0.

    Args:
        given: what :func:`add_parser` has parsed.
        environment: MLflow's own variables; those of this process where it is not given.

    Raises:
        SerinusError: MLflow could not be asked or has no such version, or what it says cannot be a ModelVersion.
    """
    # requests and boto3 take half a second: no other verb at a terminal must wait for them.
    from serinus.cli.import_mlflow import write_manifest  # noqa: PLC0415

    return write_manifest(given, environment)
