"""``serinus import``: writes manifests from other tools' data, and says what is missing in them."""

from typing import Final

from serinus.cli.command import Group

importing: Final = Group(
    "import",
    "write a ModelVersion from MLflow's data or plain JSON, or a Rollout from a plan",
    {
        "mlflow": "serinus.cli.importing.server:mlflow",
        "mlmodel": "serinus.cli.importing.file:mlmodel",
        "json": "serinus.cli.importing.plain_json:import_json",
        "plan": "serinus.cli.importing.plan:import_plan",
    },
)
