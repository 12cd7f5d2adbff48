"""The query of examples/data-drift against the formula of the population stability index, on a real Prometheus."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from serinus.api.parsing import decode
from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Measured, NoData
from serinus.settings import Settings
from support.prometheus.questions import after, question, steadily
from support.prometheus.server import History, Prometheus
from support.prometheus.written_past import source

_VALUES: Final = Path(__file__).resolve().parents[3] / "examples/data-drift/values.yaml"
_REFERENCE: Final = (0.4, 0.3, 0.2, 0.1)
_AS_TRAINED, _OTHERS, _ONE_BIN = (4.0, 3.0, 2.0, 1.0), (1.0, 2.0, 3.0, 4.0), (0.0, 0.0, 0.0, 10.0)


def _psi(rates: tuple[float, ...], reference: tuple[float, ...] = _REFERENCE) -> float:
    """Return the index of so many inputs a second in each bin over the history, with the example's half an input."""
    counts = [rate * _SECONDS + 0.5 for rate in rates]
    shares = [count / sum(counts) for count in counts]
    expected = [max(share, 0.0001) for share in reference]
    return sum((now - then) * math.log(now / then) for now, then in zip(shares, expected, strict=True))


_SECONDS: Final = 300.0
"""What ``increase`` extrapolates the samples until the time of the question to."""


def _add(history: History, version: str, feature: str, rates: tuple[float, ...], *, pods: int = 1) -> None:
    for number, rate in enumerate(rates):
        labels = {"namespace": "ml", "model": "fraud", "version": version, "feature": feature, "bin": str(number)}
        for pod in range(pods):
            own = labels | {"pod": f"pod-{pod}"}
            history.add("model_reference_share", own, [(at, _REFERENCE[number]) for at in range(0, 601, 10)])
            # A client library makes the series of a bin with its first input.
            if rate:
                history.add("model_inputs_total", own, steadily(rate / pods, start=1000))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    history = History()
    _add(history, "1.0.0", "age", _AS_TRAINED)
    _add(history, "1.0.0", "income", _AS_TRAINED)
    _add(history, "2.0.0", "age", _AS_TRAINED)
    _add(history, "2.0.0", "income", _OTHERS, pods=2)
    _add(history, "3.0.0", "age", _ONE_BIN)
    _add(history, "4.0.0", "age", (0.4, 0.3, 0.2, 0.1))
    with Prometheus(tmp_path_factory.mktemp("drift"), history=history) as running:
        yield running


async def _ask(url: str, version: str) -> object:
    settings = decode(Settings, yaml.safe_load(_VALUES.read_text(encoding="utf-8"))["config"], "config")
    query = settings.sources["default"].queries["input_psi"]
    metrics = source(url, queries={"input_psi": {"promql": query.promql, "groupBy": query.group_by}})
    try:
        asked = question("input_psi > 0.25", version=version)
        return (await metrics.ask([asked], after(305), after(295)))[asked]
    finally:
        metrics.close()


@pytest.mark.parametrize(("version", "rates"), [("1.0.0", _AS_TRAINED), ("2.0.0", _OTHERS), ("3.0.0", _ONE_BIN)])
async def test_the_index_is_that_of_the_feature_that_drifts_most(
    server: Prometheus, version: str, rates: tuple[float, ...]
) -> None:
    answer = await _ask(server.url, version)
    assert isinstance(answer, Measured)
    assert answer.value == pytest.approx(_psi(rates), rel=0.02, abs=1e-4)
    assert (answer.value > 0.25) == (version != "1.0.0")


@pytest.mark.parametrize("version", ["4.0.0", "9.9.9"])
async def test_a_version_with_few_inputs_or_none_has_no_index(server: Prometheus, version: str) -> None:
    answer = await _ask(server.url, version)
    assert isinstance(answer, NoData)
    assert answer.cause is Cause.NO_SERIES
