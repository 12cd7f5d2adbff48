"""Signature: the inputs, outputs and parameters of a model version, and how requests are matched to them."""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from serinus.api.schema import DECIMAL, Model, integer, items, refuse_twins, text

Decimal = Annotated[str, text("A decimal number as text, so that no digit is lost.", pattern=DECIMAL, most=80)]


MAX_FIELDS: Final = 4096
"""The most inputs, and the most outputs: wide tables have some thousand columns."""


class Field(Model, frozen=True, kw_only=True):
    """One input, output or parameter of the model."""

    name: Annotated[str, text("Its name; in the profile chat its path, such as messages[].content.")]
    dtype: Annotated[str, text("Its element type, such as float64.", most=63)]
    shape: Annotated[
        tuple[Annotated[int, integer("A length, or -1.")], ...], items("Its dimensions; -1 where one varies.", most=16)
    ] = ()
    optional: Annotated[bool, Meta(description="Whether a request may leave it out.")] = False
    min: Decimal | None = None
    max: Decimal | None = None
    categories: Annotated[
        tuple[Annotated[str, text("One allowed value.", least=0)], ...],
        items(
            "The allowed values, where they are few. Of an output: its classes, in the order of their index.", most=256
        ),
    ] = ()
    open: Annotated[bool, Meta(description="An output's categories may grow: clients must expect unknown ones.")] = (
        False
    )
    nullable: Annotated[bool, Meta(description="Whether the value may be null.")] = False
    default: (
        Annotated[
            str, text("What is taken where a request leaves it out; of a longer text its SHA-256.", least=0, most=1024)
        ]
        | None
    ) = None
    max_length: Annotated[int, integer("The longest text or list.", least=0)] | None = None
    unit: Annotated[str, text("The unit or scale, such as EUR, probability or logit.", most=63)] | None = None
    feature_ref: Annotated[str, text("The definition it follows, such as merchant_risk@3.")] | None = None
    aliases: Annotated[
        tuple[Annotated[str, text("A former name that is still served.")], ...],
        items("Former names that are still served.", most=8),
    ] = ()


class UnknownInputs(StrEnum):
    """What the server does with inputs that it does not know."""

    IGNORE = "Ignore"
    REFUSE = "Refuse"


class Profile(StrEnum):
    """How requests are matched to the signature: by named columns, as exact tensors, or as nested JSON.

    ``columnar`` and ``chat`` match by name with safe conversions. In ``chat`` a name is a path, such as
    ``messages[].role``: chat models and other services with nested requests.
    """

    COLUMNAR = "columnar"
    TENSOR = "tensor"
    CHAT = "chat"


class Signature(Model, frozen=True, kw_only=True, cache_hash=True):
    """What goes in and what comes out."""

    profile: Annotated[
        Profile,
        Meta(
            description="columnar (named fields), tensor (exact types and shapes) or chat (nested JSON: names are"
            " paths, such as messages[].role)."
        ),
    ]
    inputs: Annotated[tuple[Field, ...], items("What a request holds.", most=MAX_FIELDS, key="name")]
    outputs: Annotated[tuple[Field, ...], items("What an answer holds.", most=MAX_FIELDS, key="name")]
    parameters: Annotated[tuple[Field, ...], items("What may be set beside the inputs.", most=128, key="name")] = ()
    unknown_inputs: Annotated[UnknownInputs, Meta(description="What happens to inputs that are not named here.")] = (
        UnknownInputs.REFUSE
    )
    protocol: Annotated[str, text("How it is asked, such as oip-v2 or mlflow.", most=63)] | None = None
    path: Annotated[str, text("The path of the endpoint.")] | None = None

    def __post_init__(self) -> None:
        """Refuse a field that is there twice."""
        for section in ("inputs", "outputs", "parameters"):
            refuse_twins(f".{section}", (one.name for one in getattr(self, section)))
