"""``serinus registry``: reads the registry, and writes one that fleets use without a cluster."""

from typing import Final

from serinus.cli.command import Group

registry: Final = Group(
    "registry",
    "read the registry of versions and, without a cluster, write it",
    {
        "list": "serinus.cli.registry.read:list_versions",
        "get": "serinus.cli.registry.read:get",
        "production": "serinus.cli.registry.production:production",
        "register": "serinus.cli.registry.register:register",
        "promote": "serinus.cli.registry.write:promote",
        "release": "serinus.cli.registry.write:release",
        "yank": "serinus.cli.registry.yank:yank",
        "unyank": "serinus.cli.registry.yank:unyank",
        "history": "serinus.cli.audit.log:log",
        "dynamodb": "serinus.cli.registry.command:dynamodb",
    },
)

dynamodb: Final = Group(
    "dynamodb",
    "manage the tables of a registry in DynamoDB",
    {
        "clusters": "serinus.cli.registry.clusters:clusters",
        "release-cluster": "serinus.cli.registry.clusters:release",
        "create-tables": "serinus.cli.registry.tables:create_tables",
    },
)
