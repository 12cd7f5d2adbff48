"""``serinus import``: writes manifests from other tools' data, and says what is missing in them."""

from pathlib import Path

from serinus.cli.command import Subparsers, set_handler
from serinus.cli.importing.file import FileImportOptions, import_from_file
from serinus.cli.importing.manifest import add_manifest_options
from serinus.cli.importing.plain_json import JsonImportOptions, import_json
from serinus.cli.importing.plan import PlanImportOptions, import_plan
from serinus.cli.importing.server import ServerImportOptions, import_from_server


def add_parser(verbs: Subparsers) -> None:
    """Add ``import`` and its sources."""
    about = "write a ModelVersion from MLflow's data or plain JSON, or a Rollout from a plan"
    parser = verbs.add_parser("import", help=about, description=about)
    sources = parser.add_subparsers(required=True, metavar="SOURCE")
    _add_server(sources)
    _add_file(sources)
    _add_json(sources)
    _add_plan(sources)


def _add_server(sources: Subparsers) -> None:
    server = sources.add_parser("mlflow", help="from a version registered at an MLflow tracking server")
    server.add_argument(
        "reference", help="models:/fraud-detector/7, models:/fraud-detector@champion, or a logged model, models:/m-4f2a"
    )
    server.add_argument("--tracking-uri", help="tracking server (default: MLFLOW_TRACKING_URI)")
    server.add_argument("--version", help="SemVer of the version (default: its tag `semver` or `version`)")
    server.add_argument("--model", help="name of the model (default: that of the registered model)")
    add_manifest_options(server)
    set_handler(server, ServerImportOptions.from_args, import_from_server)


def _add_file(sources: Subparsers) -> None:
    file = sources.add_parser("mlmodel", help="from an MLmodel file, without a server")
    file.add_argument("path", type=Path, help="MLmodel file")
    file.add_argument("--version", required=True, help="SemVer of the version, such as 2.3.1")
    file.add_argument("--model", required=True, help="name of the model")
    add_manifest_options(file)
    set_handler(file, FileImportOptions.from_args, import_from_file)


def _add_json(sources: Subparsers) -> None:
    plain = sources.add_parser("json", help="from the metadata that a training script keeps as plain JSON")
    plain.add_argument("path", type=Path, help="file with one version's metadata, or a list of them")
    plain.add_argument("--version", help="SemVer of the version (default: the one in the file)")
    plain.add_argument("--model", help="name of the model (default: the one in the file)")
    plain.add_argument("-n", "--namespace", default="", help="namespace of the ModelVersion")
    plain.add_argument("--backend", help="Service that serves the version, as name:port")
    plain.add_argument("-o", "--output", type=Path, help="file to write (default: standard output)")
    set_handler(plain, JsonImportOptions.from_args, import_json)


def _add_plan(sources: Subparsers) -> None:
    plan = sources.add_parser("plan", help="a Rollout, from a plan of stages in snake_case (abort_on, rollback_to)")
    plan.add_argument("path", type=Path, help="file with the plan: stages with name, traffic, duration, abort_on")
    plan.add_argument("--version", help="SemVer of the version (default: the one in the file)")
    plan.add_argument("--model", help="name of the model (default: the one in the file)")
    plan.add_argument(
        "--route", help="HTTPRoute that carries the traffic, as name or name/rule (default: the model's name)"
    )
    plan.add_argument("-n", "--namespace", default="", help="namespace of the Rollout")
    plan.add_argument("-o", "--output", type=Path, help="file to write (default: standard output)")
    set_handler(plan, PlanImportOptions.from_args, import_plan)
