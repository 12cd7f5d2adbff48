"""Manifests at random: good ones with one to three fields changed, and plans with conditions in many spellings.

A field's new value comes from its schema: what it allows, its limits and one step beyond, another type, null, nothing,
and texts at which regular expressions of Python and Go part.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from hypothesis import strategies as st

from serinus.api.crd import definitions
from serinus.api.names import model_version_name
from support.manifests.accepted import ACCEPTED
from support.manifests.builders import GONE, Manifest, changed, rollout
from support.manifests.conditions import lines

Schema = Mapping[str, Any]

_FILES: Final = {"Rollout": "rollouts.yaml", "ModelVersion": "modelversions.yaml", "Model": "models.yaml"}
_OTHER_TYPES: Final[tuple[Any, ...]] = (None, GONE, True, 0, 5, 1.0, 0.5, "", "5", [], {}, [None], {"of": "another"})
_INTEGERS: Final[tuple[Any, ...]] = (0, 1, -1, 100, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 2.0, 1e20)
_TRAPS: Final = ("\n", "\v", "\u00a0", "\u0663", "\u0131", "\U0001f600", "\x00", " ", ".", "-", "/", "#", "%", "0", "v")
"""At the end or the beginning of a text: the dialects differ in what ``$``, ``\\s``, ``\\d`` and lengths make of it."""
_TIMES: Final = (
    *(
        "2026-11-01T06:00:00Z",
        "2026-11-01t06:00:00z",
        "2026-11-01 06:00:00Z",
        "2026-11-01T06:00:00",
        "2026-11-01T06:00Z",
    ),
    *("2026-11-01T06:00:00.123456789+01:00", "2026-11-01T06:00:00+0100", "2026-11-01T06:00:00+01", "2026-11-01"),
    *("2026-11-01T24:00:00Z", "2026-11-01T23:59:60Z", "2026-02-30T00:00:00Z", "2026-02-29T00:00:00Z", "1767225600"),
    *(
        "2024-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2000-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-1-1T0:0:0Z",
    ),
    *("0000-01-01T00:00:00Z", "1899-12-31T23:59:59Z", "1900-01-01T00:00:00+23:59", "2999-12-31T23:59:59-23:59"),
    *("9999-12-31T23:59:59Z", "2026-11-01T06:00:00.Z", "2026-11-01T06:00:00,5Z", "2026-11-01T06:00:00-00:00", "now"),
)


@cache
def schema_of(kind: str) -> Schema:
    """Return the schema of a kind's spec."""
    found: Schema = definitions()[_FILES[kind]]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][
        "spec"
    ]
    return found


@dataclass(frozen=True, slots=True)
class _Node:
    """One field of a manifest, there or not.

    Attributes:
        path: as :func:`changed` reads it.
        schema: what the CRD says of it.
        value: what is there; ``GONE`` where nothing is.
    """

    path: str
    schema: Schema
    value: Any


def _nodes(schema: Schema, value: Any, path: str) -> Iterator[_Node]:
    """Yield every field under a value, and those that its schema has and it has not."""
    yield _Node(path, schema, value)
    kind = schema.get("type")
    if kind == "object" and isinstance(value, dict):
        known = schema.get("properties", {})
        for name, member in known.items():
            yield from _nodes(member, value.get(name, GONE), f"{path}.{name}")
        for name in value.keys() - known.keys() if "additionalProperties" in schema else ():
            yield from _nodes(schema["additionalProperties"], value[name], f"{path}.{name}")
    if kind == "array" and isinstance(value, list):
        for index, member in enumerate(value):
            yield from _nodes(schema["items"], member, f"{path}[{index}]")


# ---- values of one field -----------------------------------------------------------------------

_ANYTHING: Final = st.sampled_from(_OTHER_TYPES)
_BOOLEANS: Final = st.sampled_from([True, False, True, False, "true", *_OTHER_TYPES])
_MANY: Final = 100
"""Longer lists would make the generator slow and teach nothing more."""


def _values(node: _Node) -> st.SearchStrategy[Any]:
    match node.schema.get("type"):
        case "string" if "enum" in node.schema:
            return _words(tuple(node.schema["enum"]))
        case "string" if node.path.endswith("startedAt"):
            return _TIMES_OR_ANYTHING
        case "string":
            return _texts(node.schema.get("pattern", ""), node.schema.get("minLength", 0), node.schema["maxLength"])
        case "integer":
            return _integers(node.schema.get("minimum"), node.schema.get("maximum"))
        case "boolean":
            return _BOOLEANS
        case "array":
            return st.one_of(_lists(node), _lists(node), _ANYTHING)
        case "object":
            return st.one_of(_objects(node), _objects(node), _ANYTHING)
        case kind:
            raise AssertionError(f"{node.path} is of type {kind}, which this generator does not know")


_TIMES_OR_ANYTHING: Final = st.sampled_from([*_TIMES, *_OTHER_TYPES])


# The strategies are kept: to build one takes longer than to draw from it.
@cache
def _words(known: tuple[str, ...]) -> st.SearchStrategy[Any]:
    return st.sampled_from([*known, *known, known[0].upper(), known[0] + " ", *_OTHER_TYPES])


@cache
def _integers(least: int | None, most: int | None) -> st.SearchStrategy[Any]:
    near = [limit + step for limit in (least, most) if limit is not None for step in (-1, 0, 1)]
    return st.sampled_from([*near, *near, *_INTEGERS, *_OTHER_TYPES])


@cache
def _texts(pattern: str, least: int, most: int) -> st.SearchStrategy[Any]:
    good = st.from_regex(re.compile(pattern, re.ASCII)).map(str) if pattern else st.text(max_size=8)
    fitting = good.map(lambda text: text[:most])
    trapped = st.tuples(fitting, st.sampled_from(_TRAPS), st.booleans()).map(
        lambda drawn: drawn[0] + drawn[1] if drawn[2] else drawn[1] + drawn[0]
    )
    limits = st.sampled_from(["x" * length for length in (least, least + 1, most, most + 1)])
    return st.one_of(fitting, fitting, fitting, trapped, limits, _ANYTHING)


def _lists(node: _Node) -> st.SearchStrategy[Any]:
    members = node.value if isinstance(node.value, list) else []
    if not members:
        return st.just([])
    filled = [members[index % len(members)] for index in range(node.schema["maxItems"] + 1)]
    others = [
        *([*members, one] for one in members),
        *([*members[:index], *members[index + 1 :]] for index in range(len(members))),
        members[::-1],
        filled if len(filled) < _MANY else [],
    ]
    return st.sampled_from(others)


def _objects(node: _Node) -> st.SearchStrategy[Any]:
    members = node.value if isinstance(node.value, dict) else {}
    dropped = ({name: value for name, value in members.items() if name != gone} for gone in members)
    return st.sampled_from([{**members, "a stranger": "x"}, *dropped])


# ---- manifests ---------------------------------------------------------------------------------

# Half of the changes are made to manifests in which no field is left out.
_BASES: Final = {
    kind: st.one_of(
        st.sampled_from([one for story, one in ACCEPTED.items() if one["kind"] == kind and "every field" in story]),
        st.sampled_from([one for one in ACCEPTED.values() if one["kind"] == kind]),
    )
    for kind in _FILES
}
_KINDS: Final = st.sampled_from(["a plan", "a plan", "Rollout", "Rollout", "ModelVersion", "ModelVersion", "Model"])
_CHANGES: Final = st.sampled_from([1, 1, 1, 2, 3])


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Return a Rollout, ModelVersion or Model, good or bad."""
    kind = draw(_KINDS)
    if kind == "a plan":
        return rollout({"spec.stages": draw(_plans())})
    manifest = draw(_BASES[kind])
    for _ in range(draw(_CHANGES)):
        spec = manifest.get("spec")
        if not isinstance(spec, dict):
            break
        node = draw(st.sampled_from(list(_nodes(schema_of(manifest["kind"]), spec, "spec"))))
        value = draw(_values(node))
        if value is not GONE or node.value is not GONE:
            manifest = changed(manifest, {node.path: value})
    return _named(manifest)


def _named(manifest: Manifest) -> Manifest:
    """Give a ModelVersion the one name that it may have, so that its name is not what it is refused for."""
    spec = manifest.get("spec")
    if manifest["kind"] != "ModelVersion" or not isinstance(spec, dict):
        return manifest
    model, version = spec.get("model"), spec.get("version")
    if not (isinstance(model, str) and isinstance(version, str)):
        return manifest
    return changed(manifest, {"metadata.name": model_version_name(model, version)})


# ---- plans -------------------------------------------------------------------------------------

_SHARES: Final = ("0%", "0.00%", "00%", "5%", "05%", "5.0%", "0.01%", "50%", "99.99%", "100.00%", 5)
_LENGTHS: Final = st.sampled_from(["0s", "1h", "60m", "3600s", "3600000ms", "59m59s", "999999h", "1h1ms", "0h0m0s0ms"])
# Fields that a rule compares come together.
_PARTS: Final = st.one_of(
    st.just({}),
    st.just({}),
    st.just({}),
    st.fixed_dictionaries({"duration": _LENGTHS, "maxDuration": _LENGTHS}),
    st.fixed_dictionaries({"bake": _LENGTHS, "maxDuration": _LENGTHS}),
    st.fixed_dictionaries(
        {
            "promotion": st.sampled_from(["Observed", "Certified"]),
            "judgement": st.sampled_from(["Observed", "Sequential"]),
        }
    ),
    st.fixed_dictionaries({"approval": st.sampled_from(["NotRequired", "Required"])}),
)
_SHAPE: Final = st.tuples(
    st.lists(st.sampled_from(_SHARES), max_size=2),
    st.lists(_PARTS, min_size=3, max_size=3),
    st.sampled_from(["good", "good", "good", "unsorted", "without an end", "wrongly watched"]),
)


@st.composite
def _plans(draw: st.DrawFn) -> list[Manifest]:
    """Return stages; half of the plans are good but for their conditions, the others are of many shapes."""
    if draw(st.booleans()):
        return [{"name": "all", "traffic": "100%", "abortOn": draw(lines())}]
    shares, fields, shape = draw(_SHAPE)
    if shape != "unsorted":
        shares.sort(key=lambda share: float(str(share).strip("%")))
    if shape != "without an end":
        shares.append("100%")
    return [
        _stage(f"s{number}", share, fields[number], watched=shape != "wrongly watched")
        for number, share in enumerate(shares)
    ]


def _stage(name: str, share: Any, fields: Manifest, *, watched: bool) -> Manifest:
    """Return a stage with a condition if it needs one; if not ``watched``, with one if it needs none."""
    needed = str(share).strip("0.%") != ""
    conditions = {"abortOn": ["error_rate > 1%"]} if needed == watched else {}
    return {"name": name, "traffic": share, **conditions, **fields}
