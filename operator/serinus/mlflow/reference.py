"""References to versions in MLflow's notation, as people give them to ``serinus import mlflow``."""

from dataclasses import dataclass
from re import compile as pattern
from typing import Final

from serinus.errors import RefusedError
from serinus.mlflow.responses import logged_model_of

_REFERENCE: Final = pattern(r"models:/(?P<name>[^/@]+)(?:/(?P<version>[0-9]+)|/?@(?P<alias>[^/@]+))")
_CATALOG: Final = pattern(r"[^.]+\.[^.]+\.[^.]+")


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference to a registered version, by its number or by an alias, or to a logged model by its id (MLflow 3)."""

    name: str
    version: str = ""
    alias: str = ""
    logged: str = ""

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Parse ``models:/name/7``, ``models:/name@alias`` or ``models:/m-<id>``; RefusedError for any other text."""
        logged = logged_model_of(text)
        if logged:
            return cls("", logged=logged)
        parts = _REFERENCE.fullmatch(text)
        if parts is None:
            raise RefusedError(
                f"{text!r} names no registered version or logged model: write models:/fraud-detector/7, "
                "models:/fraud-detector@alias or models:/m-<id>"
            )
        return cls(parts["name"], parts["version"] or "", parts["alias"] or "")

    @property
    def in_catalog(self) -> bool:
        """Whether the name is one of Unity Catalog: catalog.schema.model."""
        return _CATALOG.fullmatch(self.name) is not None

    def __str__(self) -> str:
        """MLflow's notation."""
        if self.logged:
            return f"models:/{self.logged}"
        return f"models:/{self.name}/{self.version}" if self.version else f"models:/{self.name}@{self.alias}"
