"""Builders of signatures, and hypothesis strategies: random signatures of few names, and random single changes."""

from typing import Any, Final

from hypothesis import strategies as st
from msgspec import structs

from serinus.api.parsing import decode
from serinus.api.signature import Field, Profile, Signature, UnknownInputs

AMOUNT: Final = {"name": "amount", "dtype": "float64"}
SCORE: Final = {"name": "score", "dtype": "float32"}


def a_field(**fields: Any) -> Field:
    return decode(Field, {"name": "amount", "dtype": "float64", **fields}, "field")


def a_signature(**fields: Any) -> Signature:
    return decode(Signature, {"profile": "columnar", "inputs": [AMOUNT], "outputs": [SCORE], **fields}, "signature")


def with_inputs(*inputs: dict[str, Any], **fields: Any) -> Signature:
    return a_signature(inputs=[{**AMOUNT, **changes} for changes in inputs], **fields)


def with_outputs(*outputs: dict[str, Any], **fields: Any) -> Signature:
    return a_signature(outputs=[{**SCORE, **changes} for changes in outputs], **fields)


# ---- strategies --------------------------------------------------------------------------------

# Names that collide as names, as aliases and as positions.
NAMES: Final = ("a", "b", "c", "0", "1")
FACETS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "dtype": st.sampled_from(
        [
            *("int32", "INT32", "integer", "long", "int8", "uint8", "uint32", "uint64", "float", "double", "float16"),
            *("bf16", "bool", "string", "BYTES", "binary", "datetime", "timestamp", "array<whatever>"),
        ]
    ),
    "shape": st.lists(st.sampled_from([-1, 1, 3]), max_size=2).map(tuple),
    "optional": st.booleans(),
    "min": st.sampled_from([None, "0", "0.0", "5"]),
    "max": st.sampled_from([None, "10", "1e1", "20"]),
    "categories": st.lists(st.sampled_from(["x", "y", "z", "1", "1.0"]), max_size=3, unique=True).map(tuple),
    "open": st.booleans(),
    "nullable": st.booleans(),
    "default": st.sampled_from([None, None, "1", "1.0", "2", ""]),
    "max_length": st.sampled_from([None, 0, 10]),
    "unit": st.sampled_from([None, "EUR", "USD"]),
    "feature_ref": st.sampled_from([None, "risk@3", "risk@3.1", "risk@4"]),
    "aliases": st.lists(st.sampled_from(["a", "b", "d"]), max_size=2, unique=True).map(tuple),
}
_PLAIN: Final = a_field()


@st.composite
def fields(draw: st.DrawFn, names: tuple[str, ...] = NAMES) -> Field:
    # Few facets at once: two fields that differ in everything exercise no single rule.
    chosen = draw(st.lists(st.sampled_from(sorted(FACETS)), max_size=3, unique=True))
    return structs.replace(
        _PLAIN, name=draw(st.sampled_from(names)), **{facet: draw(FACETS[facet]) for facet in chosen}
    )


def sections(least: int = 0) -> st.SearchStrategy[tuple[Field, ...]]:
    return st.lists(fields(), min_size=least, max_size=3, unique_by=lambda field: field.name).map(tuple)


signatures: Final = st.builds(
    Signature,
    profile=st.sampled_from(Profile),
    inputs=sections(),
    outputs=sections(),
    parameters=st.one_of(st.just(()), sections()),
    unknown_inputs=st.sampled_from(UnknownInputs),
    protocol=st.sampled_from([None, None, "oip-v2", "mlflow"]),
    path=st.sampled_from([None, None, "/v2/models/fraud/infer"]),
)


@st.composite
def changed(draw: st.DrawFn, signature: Signature) -> Signature:
    """Return the signature with one change: a facet of a field, a field added or removed, or a global fact."""
    what = draw(st.sampled_from(["inputs", "outputs", "parameters", "unknown_inputs", "protocol", "profile"]))
    match what:
        case "unknown_inputs":
            return structs.replace(signature, unknown_inputs=draw(st.sampled_from(UnknownInputs)))
        case "protocol":
            return structs.replace(signature, protocol=draw(st.sampled_from([None, "oip-v2", "mlflow"])))
        case "profile":
            return structs.replace(signature, profile=draw(st.sampled_from(Profile)))
        case section:
            return structs.replace(signature, **{section: draw(_changed_section(getattr(signature, section)))})


@st.composite
def _changed_section(draw: st.DrawFn, section: tuple[Field, ...]) -> tuple[Field, ...]:
    free = tuple(sorted(set(NAMES) - {field.name for field in section}))
    acts = [*(["add", "rename"] if free else []), "change", "change", "remove"]
    act = draw(st.sampled_from(acts)) if section else "add"
    if act == "add":
        return (*section, draw(fields(free)))
    field = draw(st.sampled_from(section))
    rest = tuple(other for other in section if other is not field)
    match act:
        case "remove":
            return rest
        case "rename":
            aliases = (field.name,) if draw(st.booleans()) else ()
            return (*rest, structs.replace(field, name=draw(st.sampled_from(free)), aliases=aliases))
        case _:
            facet = draw(st.sampled_from(sorted(FACETS)))
            return (*rest, structs.replace(field, **{facet: draw(FACETS[facet])}))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Signature, Signature]:
    """Return two signatures that differ by one to three single changes; occasionally two unrelated ones."""
    old = draw(signatures)
    if draw(st.integers(0, 9)) == 0:
        return old, draw(signatures)
    new = old
    for _ in range(draw(st.integers(1, 3))):
        new = draw(changed(new))
    return old, new
