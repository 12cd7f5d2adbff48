"""A process that serves the series which Envoy, configured by Contour, has of every backend of every route.

    python -m benchmarks.scale.series --port 9100

The counters grow by Poisson counts of rate x weight x time since the last scrape. ``POST /weights`` says which backends
a route has and what share of the requests each gets, ``POST /errors`` what share of a backend's answers are 500.
``GET /part/K/N`` serves every N-th model, so that several targets share the models.
"""

import argparse
import time
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
from aiohttp import web

from benchmarks.scale.objects import NAMESPACE
from localcluster.parts.gateway import _BOUNDS_MS as BOUNDS
from support.e2e.manifests import PORT

_P: Final = "envoy_cluster_upstream_"
_ALWAYS: Final = (
    *("rq_pending_failure_eject", "rq_pending_overflow", "cx_none_healthy", "cx_destroy_remote_with_active_rq"),
    *("rq_rx_reset", "rq_timeout", "rq_per_try_timeout", "rq_retry", "rq_active"),
)
_QUANTILE_OF: Final = np.minimum(1.0, (np.array(BOUNDS) / 150.0) ** 2)
"""Share of the requests within each bound: a p95 of 146 ms."""


@dataclass(slots=True)
class Backend:
    """The counters of one backend.

    Attributes:
        weight: its share of the model's requests.
        errors: the share of its answers that are 500.
        text: the exposition with places for the values, by which series exist.
    """

    cluster: str
    weight: float = 0.0
    errors: float = 0.0
    good: int = 0
    bad: int = 0
    text: dict[tuple[bool, bool], str] = field(default_factory=dict)

    def grow(self, requests: int, bad: int) -> None:
        """Count more requests."""
        self.good += requests - bad
        self.bad += bad

    def page(self) -> str:
        """Return its series: response classes and response times only once there are any, as Envoy has them."""
        total, kind = self.good + self.bad, (self.good > 0, self.bad > 0)
        text = self.text.get(kind) or self.text.setdefault(kind, _template(self.cluster, *kind))
        classes = [count for count in (self.good, self.bad) if count]
        times = [*(total * _QUANTILE_OF).astype(int).tolist(), total, 75 * total, total] if total else []
        return text % (total, total, *classes, *times)


def _template(cluster: str, good: bool, bad: bool) -> str:  # noqa: FBT001 - a key of the cache
    label = f'envoy_cluster_name="{cluster}"'
    lines = [f"{_P}{name}{{{label}}} 0" for name in _ALWAYS]
    lines += [f"{_P}{name}{{{label}}} %d" for name in ("rq_total", "rq_completed")]
    classes = [code for code, there in (("2", good), ("5", bad)) if there]
    lines += [f'{_P}rq_xx{{envoy_response_code_class="{code}",{label}}} %d' for code in classes]
    if classes:
        lines += [f'{_P}rq_time_bucket{{{label},le="{bound:g}"}} %d' for bound in BOUNDS]
        lines += [f'{_P}rq_time_bucket{{{label},le="+Inf"}} %d']
        lines += [f"{_P}rq_time_{name}{{{label}}} %d" for name in ("sum", "count")]
    return "\n".join(lines) + "\n"


class Series:
    """All backends by model.

    Attributes:
        rate: requests per second of each model.
    """

    def __init__(self, rate: float, seed: int) -> None:
        self.rate = rate
        self._chance = np.random.default_rng(seed)
        self._models: dict[str, dict[str, Backend]] = {}
        self._scraped: dict[str, float] = {}
        self._errors: dict[str, float] = {}

    def set_weights(self, routes: dict[str, dict[str, float]]) -> None:
        """Set what share of its model's requests each backend gets; one that is not named has left the route."""
        self._grow(list(routes))
        for model, shares in routes.items():
            known = self._models.setdefault(model, {})
            self._models[model] = {name: known.get(name) or self._backend(name) for name in shares}
            for name, share in shares.items():
                self._models[model][name].weight = share

    def set_errors(self, errors: dict[str, float]) -> None:
        """Set the share of failed answers of backends, by name; ``*SUFFIX`` means all with this suffix."""
        self._grow(list(self._models))
        self._errors |= errors
        for backends in self._models.values():
            for name, backend in backends.items():
                backend.errors = self._errors_of(name)

    def _backend(self, service: str) -> Backend:
        """Return a backend that is new on its route; it may have been told to fail before."""
        return Backend(f"{NAMESPACE}_{service}_{PORT}", errors=self._errors_of(service))

    def _errors_of(self, service: str) -> float:
        exact = self._errors.get(service)
        if exact is not None:
            return exact
        suffixes = (
            share for name, share in self._errors.items() if name.startswith("*") and service.endswith(name[1:])
        )
        return next(suffixes, 0.0)

    def backends(self, model: str) -> dict[str, Backend]:
        """Return the backends of a model, by name."""
        return self._models[model]

    def page(self, part: int, of: int) -> str:
        """Return the exposition of every ``of``-th model."""
        models = [name for name in self._models if int(name[1:]) % of == part]
        self._grow(models)
        return "".join(backend.page() for name in models for backend in self._models[name].values())

    def _grow(self, models: list[str]) -> None:
        now = time.monotonic()
        known = [name for name in models if name in self._models]
        since = {name: now - self._scraped.get(name, now) for name in known}
        self._scraped.update(dict.fromkeys(models, now))
        found = [(one, since[name]) for name in known for one in self._models[name].values()]
        if found:
            means = [self.rate * backend.weight * seconds for backend, seconds in found]
            requests = self._chance.poisson(means)
            bad = self._chance.binomial(requests, [backend.errors for backend, _ in found])
            for (backend, _), some, failed in zip(found, requests.tolist(), bad.tolist(), strict=True):
                backend.grow(some, failed)


def application(series: Series) -> web.Application:
    """Return the HTTP server."""

    async def part(request: web.Request) -> web.Response:
        page = series.page(int(request.match_info["part"]), int(request.match_info["of"]))
        return web.Response(text=page, content_type="text/plain")

    async def weights(request: web.Request) -> web.Response:
        series.set_weights(msgspec.json.decode(await request.read()))
        return web.Response(text=str(time.time()))

    async def errors(request: web.Request) -> web.Response:
        series.set_errors(msgspec.json.decode(await request.read()))
        return web.Response(text=str(time.time()))

    app = web.Application(client_max_size=64 * 1024**2)
    app.add_routes([web.get("/part/{part}/{of}", part), web.post("/weights", weights), web.post("/errors", errors)])
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve generated Envoy series.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="requests per second of each model")
    parser.add_argument("--seed", type=int, default=20261129)
    options = parser.parse_args()
    log: Any = None
    web.run_app(application(Series(options.rate, options.seed)), port=options.port, print=log, access_log=None)


if __name__ == "__main__":
    main()
