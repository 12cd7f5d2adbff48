"""Manifests at random: good ones with one to three fields changed, and plans with conditions in many spellings.

A field's new value comes from its schema: what it allows, its limits and one step beyond, another type, null, nothing,
and texts at which regular expressions of Python and Go part.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from hypothesis import strategies as st

from serinus.api.names import model_version_name
from support.manifests.accepted import TAKEN
from support.manifests.builders import GONE, Manifest, changed, rollout

Schema = Mapping[str, Any]

_CRDS: Final = Path(__file__).resolve().parents[3] / "deploy" / "crds"
_FILES: Final = {"Rollout": "rollouts.yaml", "ModelVersion": "modelversions.yaml", "Model": "models.yaml"}
_OTHER_TYPES: Final[tuple[Any, ...]] = (None, GONE, True, 0, 5, 1.0, 0.5, "", "5", [], {}, [None], {"of": "another"})
_INTEGERS: Final[tuple[Any, ...]] = (0, 1, -1, 100, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 2.0, 1e20)
_TRAPS: Final = ("\n", "\v", "\u00a0", "\u0663", "\u0131", "\U0001f600", "\x00", " ", ".", "-", "/", "#", "%", "0", "v")
"""At the end or the beginning of a text: the dialects differ in what ``$``, ``\\s``, ``\\d`` and lengths make of it."""
_TIMES: Final = (
    "2026-11-01T06:00:00Z",
    "2026-11-01t06:00:00z",
    "2026-11-01 06:00:00Z",
    "2026-11-01T06:00:00",
    "2026-11-01T06:00Z",
    "2026-11-01T06:00:00.123456789+01:00",
    "2026-11-01T06:00:00+0100",
    "2026-11-01T24:00:00Z",
    "2026-11-01T23:59:60Z",
    "2026-02-30T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2026-11-01",
    "1767225600",
)


@cache
def schema_of(kind: str) -> Schema:
    """Return the schema of a kind's spec as it is committed."""
    crd = yaml.safe_load((_CRDS / _FILES[kind]).read_text(encoding="utf-8"))
    found: Schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
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


def _values(node: _Node) -> st.SearchStrategy[Any]:
    match "string" if "x-kubernetes-int-or-string" in node.schema else node.schema.get("type"):
        case "string":
            return st.one_of(_strings(node.schema), _strings(node.schema), st.sampled_from(_OTHER_TYPES))
        case "integer":
            limits = [node.schema[end] for end in ("minimum", "maximum") if end in node.schema]
            near = [limit + step for limit in limits for step in (-1, 0, 1)]
            return st.sampled_from([*near, *near, *_INTEGERS, *_OTHER_TYPES])
        case "boolean":
            return st.sampled_from([True, False, "true", *_OTHER_TYPES])
        case "array":
            return st.one_of(_lists(node), st.sampled_from(_OTHER_TYPES))
        case "object":
            return st.one_of(_objects(node), st.sampled_from(_OTHER_TYPES))
        case kind:
            raise AssertionError(f"{node.path} is of type {kind}, which this generator does not know")


def _strings(schema: Schema) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from([*schema["enum"], schema["enum"][0].upper(), schema["enum"][0] + " "])
    if schema.get("format") == "date-time":
        return st.sampled_from(_TIMES)
    good = st.from_regex(schema["pattern"]).map(str) if "pattern" in schema else st.text(max_size=8)
    limits = [st.just("x" * (schema[end] + step)) for end in ("minLength", "maxLength") for step in (0, 1)]
    fitting = good.filter(lambda text: len(text) <= schema["maxLength"])
    return st.one_of(fitting, fitting, fitting.flatmap(_trapped), *limits)


def _trapped(text: str) -> st.SearchStrategy[str]:
    return st.sampled_from(_TRAPS).flatmap(lambda trap: st.sampled_from([text + trap, trap + text]))


def _lists(node: _Node) -> st.SearchStrategy[Any]:
    members = node.value if isinstance(node.value, list) else []
    if not members:
        return st.just([])
    filled = [members[index % len(members)] for index in range(node.schema["maxItems"] + 1)]
    return st.one_of(
        st.sampled_from(members).map(lambda one: [*members, one]),
        st.integers(0, len(members) - 1).map(lambda index: [*members[:index], *members[index + 1 :]]),
        st.permutations(members).map(list),
        st.just(filled) if len(filled) < _MANY else st.just([]),
    )


_MANY: Final = 100
"""Longer lists would make the generator slow and teach nothing more."""


def _objects(node: _Node) -> st.SearchStrategy[Any]:
    members = node.value if isinstance(node.value, dict) else {}
    strange = {**members, "a stranger": "x"}
    if not members:
        return st.just(strange)
    dropped = st.sampled_from(sorted(members)).map(lambda name: {k: v for k, v in members.items() if k != name})
    return st.one_of(dropped, st.just(strange))


# ---- manifests ---------------------------------------------------------------------------------


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Return a Rollout, ModelVersion or Model, good or bad."""
    if draw(st.integers(0, 3)) == 0:
        return rollout({"spec.stages": draw(_plans())})
    manifest = draw(st.sampled_from([one for one in TAKEN.values() if one["kind"] in _FILES]))
    schema = schema_of(manifest["kind"])
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        spec = manifest.get("spec")
        if not isinstance(spec, dict):
            break
        node = draw(st.sampled_from(list(_nodes(schema, spec, "spec"))))
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


# ---- plans and conditions ----------------------------------------------------------------------

_STANDARD: Final = ("latency_p95", "latency_p50", "latency_p999", "latency_p90", "latency_p900", "error_rate")
_ODD: Final = (
    *("latency_p05", "latency_p20", "latency_p49", "latency_p100", "latency_p9", "latency_p99999", "latency_p"),
    *(
        "latency_p99_9",
        "latency_p95_drift",
        "latency_p50ms",
        "client_error_rate",
        "error_rate_of_model",
        "my_error_rate",
    ),
    *("drift_score", "p95_latency", "latency_avg", "latency", "success_rate", "request_success_rate", "error_ratio"),
    *(
        "latency_95",
        "p99",
        "request-success-rate",
        "error-rate",
        "latency-p95",
        "Latency_p95",
        "latency_p99.9",
        "errors",
    ),
)
_UNITS: Final = ("ms", "s", "%", "")
_NUMBERS: Final = (
    *("1", "0", "0.0", "00", "5", "99.999999999", "100", "100.0", "0.5", "0.005", "1.0", "01", "200", "0.2", "0.7"),
    *(
        "0.007",
        "0.3",
        "0.003",
        "099.9",
        "999999999999",
        "999999999999.999999999",
        "0.000000001",
        ".5",
        "1.",
        "1e3",
        "-1",
    ),
    *("1000000000000", "0.0000000001", "٣", "1,5"),
)
_GAPS: Final = ("", " ", " ", "  ", "\t", "\n", "\v", "\u00a0")


@st.composite
def _conditions(draw: st.DrawFn) -> str:
    usual = draw(st.booleans())
    name = draw(st.sampled_from(_STANDARD if usual else (*_STANDARD, *_ODD)))
    operator = draw(st.sampled_from((">", ">=") if usual else (">", ">=", "<", "<=", "=", "=>", "")))
    unit = draw(st.sampled_from(("%", "") if usual and "rate" in name else ("ms", "s") if usual else _UNITS))
    number = draw(st.one_of(st.sampled_from(_NUMBERS), st.decimals("0", "1000", places=3).map(str)))
    one, two, three, *rest = (draw(st.sampled_from(_GAPS[:4] if usual else _GAPS)) for _ in range(5))
    return f"{rest[0]}{name}{one}{operator}{two}{number}{three}{unit}{rest[1]}"


@st.composite
def spellings(draw: st.DrawFn, line: str) -> str:
    """Return a line that means the same, written otherwise: blanks, zeros, another unit, a longer quantile."""
    name, _, rest = line.strip().partition(">")
    operator, rest = (">=", rest[1:]) if rest.startswith("=") else (">", rest)
    unit = next((unit for unit in _UNITS if unit and rest.strip().endswith(unit)), "")
    try:
        number = Decimal(rest.strip().removesuffix(unit).strip())
    except ArithmeticError:
        return line
    other = {"ms": "s", "s": "ms", "%": "", "": "%"}[unit]
    if draw(st.booleans()):
        number, unit = number.scaleb({"ms": -3, "s": 3, "%": -2, "": 2}[unit]), other
    zeros = draw(st.sampled_from(["", "0", "00"]))
    digits = f"{number:f}"
    text = draw(st.sampled_from(["", "0"])) + (digits + zeros if "." in digits else digits)
    longer = draw(st.sampled_from(["", "", "0"])) if name.strip().removeprefix("latency_p").isdigit() else ""
    gaps = [draw(st.sampled_from(_GAPS[:5])) for _ in range(3)]
    return f"{name.strip()}{longer}{gaps[0]}{operator}{gaps[1]}{text}{gaps[2]}{unit}"


@st.composite
def _lines(draw: st.DrawFn) -> list[str]:
    found = draw(st.lists(_conditions(), min_size=1, max_size=3))
    if draw(st.booleans()):
        found.append(draw(spellings(draw(st.sampled_from(found)))))
    return found


_SHARES: Final = ("0%", "0.00%", "00%", "5%", "05%", "5.0%", "0.01%", "50%", "99.99%", "100%", "100.0%", "100.00%", "5")
_LENGTHS: Final = ("0s", "1h", "60m", "3600s", "3600000ms", "59m59s", "2h", "999999h", "1h1ms", "0h0m0s0ms", "1.5h")


@st.composite
def _stages(draw: st.DrawFn, number: int) -> Manifest:
    found: Manifest = {"name": f"s{number}", "traffic": draw(st.sampled_from(_SHARES))}
    choices: dict[str, st.SearchStrategy[Any]] = {
        "abortOn": _lines(),
        "duration": st.sampled_from(_LENGTHS),
        "bake": st.sampled_from(_LENGTHS),
        "maxDuration": st.sampled_from(_LENGTHS),
        "promotion": st.sampled_from(["Observed", "Certified"]),
        "judgement": st.sampled_from(["Observed", "Sequential"]),
        "approval": st.sampled_from(["NotRequired", "Required"]),
    }
    for name in draw(st.lists(st.sampled_from(sorted(choices)), max_size=2, unique=True)):
        found[name] = draw(choices[name])
    return found


@st.composite
def _plans(draw: st.DrawFn) -> list[Manifest]:
    """Return stages; half of the plans are good but for their conditions, the others are of any shape."""
    if draw(st.booleans()):
        return [{"name": "all", "traffic": "100%", "abortOn": draw(_lines())}]
    return [draw(_stages(number)) for number in range(draw(st.integers(1, 3)))]
