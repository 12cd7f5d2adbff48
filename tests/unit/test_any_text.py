"""Every parser of what others wrote is total: a typed value, or the error that it declares, and nothing else.

The command lines have a test of their own (``cli/test_any_input.py``), and so do the answers of a metric source
(``metrics/test_any_answer.py``).
"""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NoReturn

import click
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from serinus.addresses import effective_address, split_url
from serinus.api.abort_condition import parse_abort_condition
from serinus.api.audit_record import AuditRecordSpec
from serinus.api.model import ModelSpec, ModelStatus
from serinus.api.modelversion import ModelVersionSpec, ModelVersionStatus
from serinus.api.parsing import decode, encode
from serinus.api.quantities import Duration, Share
from serinus.api.rollout import RolloutSpec
from serinus.api.stored_rollout import guarding_spec, stored_spec
from serinus.api.stored_status import stored_status
from serinus.artifacts.s3_address import S3Address
from serinus.audit.export_reader import check_export
from serinus.cli.times import parse_time
from serinus.engine.semver import describe_tag, parse_version, sortable
from serinus.errors import ConfigurationError, InvalidObjectError, RefusedError
from serinus.kube import records
from serinus.kube.answers import Answer, error_of
from serinus.kube.jobs.record import job_record
from serinus.mlflow.model_file import read_model_file
from serinus.mlflow.reference import Reference
from support.examples import examples
from support.manifests.accepted import ACCEPTED


def refusal(parse: Callable[[], object], *declared: type[Exception]) -> Exception | None:
    """Return the declared error with which a parser refuses; None where it gives a value."""
    try:
        parse()
    except declared as problem:
        return problem
    return None


# ---- texts -------------------------------------------------------------------------------------

TEXT_PARSERS: Final[dict[str, tuple[Callable[[str], object], tuple[type[Exception], ...]]]] = {
    "a condition": (parse_abort_condition, (ValueError,)),
    "a duration": (Duration, (ValueError,)),
    "a share": (Share, (ValueError,)),
    "a version": (parse_version, (ValueError,)),
    "a sort key": (sortable, (ValueError,)),
    "a described tag": (describe_tag, (ValueError,)),
    "a time": (parse_time, (click.BadParameter,)),
    "an S3 address": (S3Address.parse, (RefusedError,)),
    "a URL": (lambda text: split_url(text, "url"), (ConfigurationError,)),
    "an IP address": (effective_address, (ValueError,)),
    "a reference to MLflow": (Reference.parse, (ConfigurationError, RefusedError)),
}
_PIECES: Final = (
    *(
        "error_rate",
        "latency_p95",
        "latency_p",
        "stable",
        ">",
        "<=",
        "x",
        "+",
        "%",
        "ms",
        "s",
        "h",
        "m",
        "d",
        " ",
        "\n",
    ),
    *(
        "1",
        "0",
        "05",
        "9" * 40,
        "-",
        ".",
        "v",
        "rc.1",
        "g0123abc",
        "s3://",
        "models:/",
        "runs:/",
        "@",
        "[",
        "::1",
        "T",
        "Z",
    ),
    *("\u0663", "\u00b2", "\uff11", "\ud800", "\x00", "\u202e", "e\u0301", "2026-11-01", "file:", "/", "?", "#", ":80"),
)
_TEXTS: Final = st.one_of(
    st.lists(st.sampled_from(_PIECES), max_size=9).map("".join),
    st.text(max_size=30),
    st.from_regex(r"v?[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(-[0-9a-z.-]{1,12})?(\+[a-z]+)?"),
)


@pytest.mark.parametrize("name", TEXT_PARSERS)
@given(text=_TEXTS)
def test_a_text_is_parsed_or_refused(name: str, text: str) -> None:
    parse, declared = TEXT_PARSERS[name]
    problem = refusal(lambda: parse(text), *declared)
    event("taken" if problem is None else "refused")
    assert problem is None or str(problem)


_LONG: Final = ("1", " ", "a", "-", ".", "0.", "1.0.0-", "v", "9h", "error_rate >", "stable + ", "[", "\u0663", "a-")


@pytest.fixture
def budget() -> Iterator[None]:
    """Twenty seconds of this process's own processor time, for what takes milliseconds if it takes linear time."""

    def over(*_: object) -> NoReturn:
        pytest.fail("the parser goes back and forth in its text")

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, 20.0)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
    signal.signal(signal.SIGVTALRM, before)


@pytest.mark.usefixtures("budget")
@pytest.mark.parametrize("name", TEXT_PARSERS)
def test_a_long_text_is_not_read_again_and_again(name: str) -> None:
    parse, declared = TEXT_PARSERS[name]
    for piece in _LONG:
        for text in (f"{piece * 100_000}!", f"error_rate > 1{piece * 100_000}!"):
            with suppress(*declared):
                parse(text)


# ---- objects -----------------------------------------------------------------------------------

_LEAVES: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -1, 10**400]),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["2026-11-01T00:00:00Z", "5%", "1h", "sha256:" + "a" * 64, "1.0.0", "9" * 5000, "\u0663", "0"]),
)
_VALUES: Final = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
_META: Final[dict[str, Any]] = {
    "name": "fraud",
    "namespace": "ml",
    "uid": "u",
    "resourceVersion": "7",
    "generation": 3,
    "creationTimestamp": "2026-11-01T00:00:00Z",
    "annotations": {"serinus.dev/promote": "t", "serinus.dev/reason": "r"},
    "labels": {"kubernetes.io/service-name": "fraud"},
    "managedFields": [{"manager": "x", "time": "2026-11-01T00:00:00Z", "fieldsV1": {"f:spec": {}}}],
    "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "x", "uid": "u", "controller": True}],
}
_STATUS: Final[dict[str, Any]] = {
    "phase": "Healthy",
    "observedGeneration": 3,
    "stable": {"version": "1.0.0", "weight": 100, "since": "2026-11-01T00:00:00Z"},
    "conditions": [{"type": "Accepted", "status": "True", "lastTransitionTime": "2026-11-01T00:00:00Z"}],
    "audit": {"sequence": 4, "hash": ""},
    "production": {"version": "1.0.0", "since": "2026-11-01T00:00:00Z"},
    "good": ["1.0.0"],
    "parents": [{"conditions": [{"type": "Accepted", "status": "True", "observedGeneration": 1}]}],
    "failed": 1,
}
_OF_KIND: Final = {
    kind: [manifest["spec"] for manifest in ACCEPTED.values() if manifest["kind"] == kind and "spec" in manifest]
    for kind in ("Rollout", "ModelVersion", "Model", "AuditRecord")
}
_ENDPOINTS: Final[dict[str, Any]] = {
    "addressType": "IPv4",
    "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
    "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
}
_JOB: Final[dict[str, Any]] = {
    "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "x", "message": "y"}], "failed": 2},
    "spec": {"template": {"spec": {"containers": []}}},
}


def _raw(**parts: Any) -> dict[str, Any]:
    return {"apiVersion": "x/v1", "kind": "X", "metadata": _META, "status": _STATUS, **parts}


OBJECT_PARSERS: Final[dict[str, tuple[Callable[[Any], object], tuple[Any, ...]]]] = {
    "a Rollout": (records.rollout_record, tuple(_raw(spec=spec) for spec in _OF_KIND["Rollout"])),
    "a ModelVersion": (records.model_version_record, tuple(_raw(spec=spec) for spec in _OF_KIND["ModelVersion"])),
    "a Model": (records.model_record, tuple(_raw(spec=spec) for spec in _OF_KIND["Model"])),
    "a Namespace": (records.namespace_record, (_raw(),)),
    "an EndpointSlice": (records.endpoints_record, (_raw(**_ENDPOINTS),)),
    "a Job": (job_record, (_raw(**_JOB),)),
    "a Rollout's spec": (lambda raw: decode(RolloutSpec, raw, "spec"), tuple(_OF_KIND["Rollout"])),
    "a stored spec": (stored_spec, tuple(_OF_KIND["Rollout"])),
    "a guarding spec": (guarding_spec, tuple(_OF_KIND["Rollout"])),
    "a stored status": (stored_status, (_STATUS,)),
    "a version's spec": (lambda raw: decode(ModelVersionSpec, raw, "spec"), tuple(_OF_KIND["ModelVersion"])),
    "a version's status": (lambda raw: decode(ModelVersionStatus, raw, "status"), (_STATUS,)),
    "a policy": (lambda raw: decode(ModelSpec, raw, "spec"), tuple(_OF_KIND["Model"])),
    "a head": (lambda raw: decode(ModelStatus, raw, "status"), (_STATUS,)),
    "a record": (lambda raw: decode(AuditRecordSpec, raw, "spec"), tuple(_OF_KIND["AuditRecord"])),
}


@st.composite
def _damaged(draw: st.DrawFn, good: tuple[Any, ...]) -> Any:
    """Return a good value with up to three of its members replaced or removed, at any depth."""
    value = draw(st.sampled_from(good))
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from([*sorted(value), "another"]))
        value = {**value, name: _with_damage(draw, value.get(name))}
    return value


def _with_damage(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        name = draw(st.sampled_from(sorted(value)))
        if not draw(st.integers(0, 5)):
            return {key: member for key, member in value.items() if key != name}
        return {**value, name: _with_damage(draw, value[name])}
    if isinstance(value, list) and value and draw(st.integers(0, 5)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], _with_damage(draw, value[at]), *value[at + 1 :]]
    return draw(_VALUES)


@pytest.mark.parametrize("name", OBJECT_PARSERS)
@settings(max_examples=examples(200))
@given(data=st.data())
def test_an_object_is_parsed_or_refused_naming_the_field(name: str, data: st.DataObject) -> None:
    parse, good = OBJECT_PARSERS[name]
    raw = data.draw(_damaged(good))
    problem = refusal(lambda: parse(raw), InvalidObjectError)
    event("taken" if problem is None else "refused")
    assert not isinstance(problem, InvalidObjectError) or problem.problem


@given(_damaged(tuple(_OF_KIND["Rollout"])))
def test_a_spec_that_is_parsed_is_parsed_again_as_it_is_written(raw: Any) -> None:
    try:
        spec = decode(RolloutSpec, raw, "spec")
    except InvalidObjectError:
        return
    assert decode(RolloutSpec, json.loads(json.dumps(encode(spec))), "spec") == spec


# ---- bytes -------------------------------------------------------------------------------------

_MODEL_FILE: Final = """
artifact_path: model
run_id: abc
flavors: {python_function: {loader_module: x}, sklearn: {sklearn_version: 1.4.0}}
signature:
  inputs: '[{"type": "double", "name": "amount", "required": true}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]'
  params: '[{"name": "fill", "type": "double", "default": 0.5, "shape": null}]'
"""
_RECORD: Final = json.dumps(_OF_KIND["AuditRecord"][0])
_EXTREMES: Final = (b"", b"\xff\xfe", b"[" * 3000, b'{"a":' * 3000, b"9" * 6000, b"- " * 3000, b"&a [*a]", b"!!bool x")


@st.composite
def _torn(draw: st.DrawFn, good: str) -> bytes:
    """Return a good text with a few bytes cut out or put in, or any bytes."""
    content = good.encode()
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 20)))
        content = content[:start] + draw(st.binary(max_size=6) | st.sampled_from(_EXTREMES)) + content[end:]
    return content


@given(_torn(_MODEL_FILE) | st.sampled_from(_EXTREMES))
def test_a_model_file_is_read_or_refused(content: bytes) -> None:
    problem = refusal(lambda: read_model_file(content, "MLmodel"), InvalidObjectError)
    assert problem is None or str(problem).startswith("MLmodel")


_TYPES: Final = st.sampled_from(
    ["double", "string", "tensor", "object", "array", "map", "any", "datetime", "x", 7, None]
)
_COLUMNS: Final = st.recursive(
    st.fixed_dictionaries({"type": _TYPES}, optional={"name": _LEAVES, "required": _LEAVES, "default": _LEAVES}),
    lambda inner: st.fixed_dictionaries(
        {"type": _TYPES},
        optional={
            "name": st.text(max_size=4),
            "items": inner,
            "values": inner,
            "properties": st.dictionaries(st.text(max_size=3), inner, max_size=3) | _LEAVES,
            "tensor-spec": st.fixed_dictionaries(
                {}, optional={"dtype": _LEAVES, "shape": st.lists(_LEAVES, max_size=3)}
            ),
        },
    ),
    max_leaves=6,
)
_SECTIONS: Final = st.one_of(st.lists(_COLUMNS, max_size=3).map(json.dumps), st.text(max_size=8), _LEAVES)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("inputs", "outputs", "params"), _SECTIONS)))
def test_a_signature_of_mlflow_is_converted_or_its_problem_told(signature: dict[str, object]) -> None:
    content = json.dumps({"signature": signature}).encode()
    problem = refusal(lambda: read_model_file(content, "MLmodel"), InvalidObjectError)
    assert problem is None or str(problem).startswith("MLmodel")


@given(st.lists(_torn(_RECORD), min_size=1, max_size=3))
def test_an_export_is_read_and_its_defects_are_findings(lines: list[bytes]) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "export.jsonl"
        file.write_bytes(b"\n".join(lines))
        problem = refusal(lambda: check_export(file), InvalidObjectError, ConfigurationError)
        assert problem is None or str(problem)


@given(st.integers(100, 599), st.binary(max_size=30) | st.sampled_from(_EXTREMES), st.booleans())
def test_an_answer_of_the_api_server_is_an_error_or_none(status: int, content: bytes, write: bool) -> None:  # noqa: FBT001
    assert (error_of(Answer(status, content, 0.0), "GET /x", write=write) is None) is (200 <= status < 300)


def test_a_version_with_a_number_that_has_no_exact_form_is_refused_naming_it() -> None:
    """An API server of an earlier release has stored it: it was skipped, and nobody was told why."""
    spec = {"model": "fraud", "version": "1.0.0", "trainingData": [{"uri": "s3://a", "rows": 2**53}]}
    assert "spec.trainingData[0].rows" in records.model_version_record(_raw(spec=spec)).problem


def test_what_annotations_say_is_cut_to_what_statuses_and_records_hold() -> None:
    long = dict.fromkeys(
        ("yanked", "waive-schema", "reason", "requested-by", "version-by", "author", "rollback-to", "override"),
        "x" * 9999,
    )
    annotations = {f"serinus.dev/{name}": text for name, text in long.items()}
    raw = _raw(spec=_OF_KIND["ModelVersion"][0], metadata={**_META, "annotations": annotations})
    version = records.model_version_record(raw)
    rollout = records.rollout_record({**raw, "spec": _OF_KIND["Rollout"][0], "status": {}})
    assert (len(version.yanked), len(version.waiver), len(version.actors.requested_by)) == (4096, 4096, 512)
    assert (len(rollout.actors.version_by), len(rollout.override), len(rollout.rollback_to)) == (512, 4096, 65)
