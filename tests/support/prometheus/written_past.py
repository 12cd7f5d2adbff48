"""The backfilled history of the test Prometheus: one backend for each scenario, scraped every 10 s for 10 minutes.

Samples are at t0, t0 + 10, …; the tests' ticks end 5 s after a sample, so a tick of 10 s contains one scrape.
"""

from math import nan

from serinus.api.parsing import decode
from serinus.metrics import PrometheusSource
from serinus.source_settings import SourceSettings
from support.prometheus.questions import add_buckets, add_classes, add_presence, steadily
from support.prometheus.server import History


def source(url: str, **settings: object) -> PrometheusSource:
    """Return a source for this Prometheus; camelCase settings override."""
    raw = {"url": url, "scrapeInterval": "10s", "timeout": "5s"} | settings
    return PrometheusSource("default", decode(SourceSettings, raw, "sources.default"))


def past() -> History:
    """Return the series of all scenarios."""
    history = History()
    _requests(history)
    _counter_resets(history)
    _latencies(history)
    _named_queries(history)
    return history


def _requests(history: History) -> None:
    add_classes(history, "steady", {"2": steadily(9), "5": steadily(0.5), "4": steadily(0.2)})
    add_classes(history, "neighbour", {"5": steadily(100)})
    add_classes(history, "two-envoys", {"2": steadily(3), "5": steadily(1)}, pod="envoy-0")
    add_classes(history, "two-envoys", {"2": steadily(5)}, pod="envoy-1")
    add_classes(history, "idle", {"2": steadily(0, start=700)})
    add_presence(history, "never-called", steadily(0))
    add_classes(history, "seldom-scraped", {"2": steadily(1, every=60)})
    add_classes(history, "gone-quiet", {"2": steadily(1, end=200)})
    add_classes(history, "broken", {"2": [(at, nan) for at in range(0, 601, 10)]})


def _counter_resets(history: History) -> None:
    # Envoy creates a class's counter with its first response.
    add_presence(history, "late-errors", steadily(1))
    add_classes(history, "late-errors", {"2": steadily(1), "5": [(300, 7), (310, 7), (320, 7)]})
    # A pod was restarted between 290 and 300.
    add_classes(history, "restarted", {"2": [*steadily(10, end=290), *steadily(10, begin=300, start=40)]})
    # Not scraped for six minutes; the counter went on meanwhile.
    add_classes(
        history, "scraped-again", {"2": [*steadily(1, end=100, start=5000), *steadily(1, begin=460, start=5460)]}
    )
    # Prometheus was down for half an hour.
    for name, rate in (("2", 1.0), ("5", 0.5)):
        begin = steadily(rate, end=600, start=900), steadily(rate, begin=2400, end=3000, start=900 + rate * 2400)
        add_classes(history, "after-the-outage", {name: [*begin[0], *begin[1]]})
    # Three pods: one restarted, one new, one gone.
    for pod, born in (("a", 0), ("b", 200), ("c", 0)):
        add_presence(history, "busy", steadily(4, begin=born), pod=pod)
    add_classes(history, "busy", {"2": [*steadily(3, end=250), *steadily(3, begin=260, start=12)]}, pod="a")
    add_classes(history, "busy", {"2": steadily(2, begin=200, start=20), "5": steadily(1, begin=330, start=4)}, pod="b")
    add_classes(history, "busy", {"2": steadily(4, end=400), "5": steadily(0.3, end=400)}, pod="c")


def _latencies(history: History) -> None:
    # Of 10 requests a second, 4 take up to 100 ms, 8 up to 250 ms, 9 up to 500 ms.
    slow = {"100": steadily(4), "250": steadily(8), "500": steadily(9), "+Inf": steadily(10)}
    add_buckets(history, "slow", slow)
    add_classes(history, "slow", {"2": steadily(10), "5": steadily(2)})
    # The same bound as Prometheus 2 and as Prometheus 3 spell it, one pod each.
    add_buckets(history, "both-forms", {"200": steadily(2), "+Inf": steadily(3)}, pod="a")
    add_buckets(history, "both-forms", {"200.0": steadily(1), "+Inf": steadily(1)}, pod="b")
    # One of two pods lacks the bound.
    add_buckets(history, "uneven", {"100": steadily(1), "250": steadily(2), "+Inf": steadily(3)}, pod="a")
    add_buckets(history, "uneven", {"100": steadily(1), "+Inf": steadily(3)}, pod="b")
    add_classes(history, "unmeasured", {"5": steadily(1)})


def _named_queries(history: History) -> None:
    for version, drift in (("1.0.0", 0.1), ("2.0.0", 0.7), ("200", 0.9)):
        history.add("drift", {"model": "fraud", "version": version}, [(at, drift) for at in range(0, 601, 10)])
    history.add("drift", {"model": "fraud", "version": "nan"}, [(at, nan) for at in range(0, 601, 10)])
    for pod in ("a", "b"):
        history.add("score", {"version": "2.0.0", "pod": pod}, [(at, 3) for at in range(0, 601, 10)])
