"""Metrics from Prometheus: counts, in a number of queries that does not grow with the rollouts; no judgement."""

from serinus.metrics.source import PrometheusSource

__all__ = ["PrometheusSource"]
