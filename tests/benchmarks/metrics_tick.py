"""What one tick costs the operator: ``python tests/benchmarks/metrics_tick.py [subjects]``; prints, judges nothing.

The answers are Prometheus' own form, made once and served from memory, so that the figures are the operator's share:
building the queries, decoding, sorting by backend, answering. Two conditions for each subject.
"""

# ruff: noqa: T201 - a benchmark speaks to a person in a terminal

import asyncio
import resource
import sys
import time
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / part) for part in ("operator", "deploy/local", "tests")]

import msgspec  # noqa: E402 - the paths above come first

from serinus.engine.analysis.measurements import Counted, Question  # noqa: E402
from serinus.metrics import PrometheusSource  # noqa: E402
from support.prometheus.questions import after, question  # noqa: E402
from support.prometheus.written_past import source  # noqa: E402
from support.servers.faultproxy import FaultProxy, Request, Status  # noqa: E402

_TICKS = 10
_CLASSES = ("2", "4", "5")
_BOUNDS = ("100", "250", "+Inf")


def answers_to(names: list[str]) -> dict[str, bytes]:
    """Make Prometheus' answer to each of the five queries, by how the query begins."""
    labels = [{"envoy_cluster_name": f"ml_{name}_80"} for name in names]
    return {
        "count by (le)": _body([({"le": bound}, "2") for bound in _BOUNDS]),
        "sum by (envoy_cluster_name, envoy_response_code_class)": _body(
            [(each | {"envoy_response_code_class": name}, "12") for each in labels for name in _CLASSES]
        ),
        "sum by (envoy_cluster_name, le)": _body(
            [(each | {"le": bound}, "36") for each in labels for bound in _BOUNDS]
        ),
        "max by": _body([(each, str(after(300).timestamp())) for each in labels]),
        "label_replace(sum by": _body(
            [
                (each | {"serinus": "classes", "envoy_response_code_class": name}, "1")
                for each in labels
                for name in "25"
            ]
            + [(each | {"serinus": "q0.95"}, "180") for each in labels]
        ),
    }


def _body(rows: list[tuple[dict[str, str], str]]) -> bytes:
    result: list[dict[str, Any]] = [{"metric": labels, "value": [1767225900.5, value]} for labels, value in rows]
    return msgspec.json.encode({"status": "success", "data": {"resultType": "vector", "result": result}})


async def measure(subjects: int) -> None:
    """Run some ticks and print what one costs."""
    names = [f"model-{place:05d}" for place in range(subjects)]
    lines = ("error_rate > 1%", "latency_p95 > 200ms")
    asked = [question(line, backend=name, model=name) for name in names for line in lines]
    bodies = answers_to(names)

    def plan(request: Request) -> Status:
        query = request.form["query"]
        return Status(200, next(body for begin, body in bodies.items() if query.startswith(begin)))

    async with FaultProxy("127.0.0.1", 1) as server:
        server.plan = plan
        metrics = source(server.url)
        try:
            await _print_ticks(metrics, asked, server)
        finally:
            metrics.close()
    sent = {request.form["query"][:12]: len(request.body) for request in server.requests}
    print(f"queries of a tick, bytes: {sorted(sent.values())}; answers, bytes: {sorted(map(len, bodies.values()))}")


async def _print_ticks(metrics: PrometheusSource, asked: list[Question], server: FaultProxy) -> None:
    await metrics.ask(asked, after(295), after(285))
    wall, cpu = time.perf_counter(), time.process_time()
    for tick in range(_TICKS):
        answers = await metrics.ask(asked, after(300 + tick), after(299 + tick))
    assert all(isinstance(answer, Counted) for answer in answers.values())
    each = 1000 / _TICKS
    print(
        f"{len(asked)} questions: {(time.perf_counter() - wall) * each:.0f} ms a tick, "
        f"{(time.process_time() - cpu) * each:.0f} ms of CPU (the serving side included), "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB at most"
    )


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if sys.argv[1:] else 2000))
