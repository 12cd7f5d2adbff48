"""The changes of a plan that ``--set`` names."""

import re
from dataclasses import dataclass
from typing import Final

import click
import yaml

from serinus.cli.manifests import KubectlLoader
from serinus.yaml_text import YamlTextError, read_yaml

_PATH: Final = re.compile(r"(?:(?P<stage>[a-z0-9][a-z0-9-]*)\.)?(?P<field>[a-zA-Z]+)(?:\[(?P<index>\d{1,2})\])?")
_HOW: Final = (
    "write STAGE.FIELD=VALUE, or FIELD=VALUE for every stage with traffic, such as 'abortOn[0]=error_rate > 1%'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a plan.

    Attributes:
        stage: the name of the stage; None for the plan, or for every stage that has the field.
        field: in it.
        index: the line of a list, from 0; None for all of it.
        value: as YAML has it; an empty text takes a line out.
    """

    stage: str | None
    field: str
    index: int | None
    value: object


@dataclass(frozen=True, slots=True)
class Changes:
    """What one ``--set`` changes.

    Attributes:
        text: as it was given.
    """

    text: str
    changes: tuple[Change, ...]


def parse_changes(text: str) -> Changes:
    """Return the changes of a text, which has semicolons between them.

    Raises:
        click.BadParameter: one of them is malformed.
    """
    return Changes(text, tuple(_parsed(one.strip()) for one in text.split(";")))


def _parsed(text: str) -> Change:
    path, equals, value = text.partition("=")
    found = _PATH.fullmatch(path.strip())
    if found is None or not equals:
        raise click.BadParameter(f"{text!r} is not a change: {_HOW}")
    return Change(
        stage=found["stage"],
        field=found["field"],
        index=int(found["index"]) if found["index"] is not None else None,
        value=_value(found["field"], value.strip()),
    )


def _value(field: str, value: str) -> object:
    """Return the value as YAML reads it, but a condition or another text as it stands."""
    if field == "abortOn":
        return value
    try:
        found = next(iter(read_yaml(value.encode(), KubectlLoader)), None)
    except (YamlTextError, yaml.YAMLError) as problem:
        raise click.BadParameter(f"{value!r} is not valid YAML: {problem}") from problem
    # Guards: Off is a word, although YAML reads a boolean.
    return value if isinstance(found, bool) or found is None else found
