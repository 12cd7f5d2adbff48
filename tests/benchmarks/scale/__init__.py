"""Measures the operator with up to ten thousand Rollouts beside a real API server, etcd and Prometheus.

The gateway and the traffic are stand-ins: a task that accepts every route at once, and a process that serves the series
which Envoy would. Everything else is real, and the operator is a process of its own.
"""
