"""Images: none is pulled; each is mapped to a local command."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import yaml

from localcluster.errors import LocalClusterError
from localcluster.node.errors import ContainerError

PROCESS_IMAGE: Final = "localhost/process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The configuration of an image."""

    entrypoint: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Images:
    """The images that the node can run."""

    table: dict[str, Image]

    @classmethod
    def load(cls, file: Path | None) -> Self:
        """Read a table of images: `name: {command: [...], args: [...], env: {...}, workingDir: ...}`.

        Raises:
            LocalClusterError: The file is missing or malformed.
        """
        if file is None:
            return cls({})
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
            return cls({name: _image(entry) for name, entry in content.items()})
        except (OSError, yaml.YAMLError, AttributeError, TypeError) as error:
            raise LocalClusterError(f"{file} is not a table of images ({error}): see deploy/local/README.md") from error

    def find(self, name: str) -> Image:
        """Return the image with this name; tag and digest are ignored unless the table has them.

        Raises:
            ContainerError: The image is unknown.
        """
        bare = re.sub(r"(:[^:/]+)?(@[^@]+)?$", "", name)
        if bare == PROCESS_IMAGE:
            return Image()
        for known in (name, bare):
            if known in self.table:
                return self.table[known]
        known_names = ", ".join([PROCESS_IMAGE, *self.table])
        raise ContainerError(
            "ErrImagePull", f"the local node pulls no images: it knows {known_names}; add {name} by --images"
        )


def _image(entry: dict[str, object]) -> Image:
    unknown = entry.keys() - {"command", "args", "env", "workingDir"}
    if unknown:
        raise TypeError(f"unknown fields: {', '.join(sorted(unknown))}")
    command, arguments, environment = entry.get("command", []), entry.get("args", []), entry.get("env", {})
    if not isinstance(command, list) or not isinstance(arguments, list) or not isinstance(environment, dict):
        raise TypeError("command and args are lists, env is a mapping")
    return Image(
        entrypoint=tuple(map(str, command)),
        arguments=tuple(map(str, arguments)),
        environment={str(name): str(value) for name, value in environment.items()},
        folder=str(entry.get("workingDir", "")),
    )
