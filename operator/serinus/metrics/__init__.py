"""LAW: evidence from Prometheus: counts, in a few queries whatever the number of rollouts; no opinion on them."""

from serinus.metrics.source import PrometheusSource

__all__ = ["PrometheusSource"]
