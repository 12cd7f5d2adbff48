"""A whole Kubernetes cluster of real parts on one machine: no Docker, no root service, nothing left behind.

Law: the outermost process builds and enters the namespaces; everything else happens inside them, under one supervisor.
"""
