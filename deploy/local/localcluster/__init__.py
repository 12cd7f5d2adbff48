"""A complete Kubernetes cluster of real programs on one machine: no Docker, no root service, nothing left behind.

The outermost process builds and enters the namespaces; everything else runs inside them, under one supervisor.
"""
