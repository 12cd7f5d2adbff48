"""Addresses of the parts. The cluster has its own network namespace, so that standard ports are always free.

198.18.0.0/15 is reserved for benchmarks: no real host has such an address, and an EndpointSlice accepts it (it refuses
127.0.0.0/8). Added to `lo` as one prefix, every address in it can be used at once.
"""

from typing import Final

NETWORK: Final = "198.18.0.1/15"
NODE: Final = "198.18.0.1"
GATEWAY: Final = "198.18.0.2"
POD_NETWORK: Final = "198.18.0.0/16"
SERVICE_NETWORK: Final = "198.19.0.0/16"
KUBERNETES_SERVICE: Final = "198.19.0.1"
LOOPBACK: Final = "127.0.0.1"

ETCD_PORT: Final = 2379
ETCD_PEER_PORT: Final = 2380
API_PORT: Final = 6443
CONTROLLER_MANAGER_PORT: Final = 10257
KUBELET_PORT: Final = 10250
CONTOUR_XDS_PORT: Final = 8001
CONTOUR_HTTP_PORT: Final = 8000
ENVOY_STATS_PORT: Final = 8002
# Contour configures a read-only view of it at 9001, which must stay free: Envoy would otherwise reject every update.
ENVOY_ADMIN_PORT: Final = 9901
PROMETHEUS_PORT: Final = 9090

GATEWAY_LISTENER_PORT: Final = 80
# Contour binds a Gateway's listener 8000 above its port, so that Envoy needs no right to bind low ones.
GATEWAY_PORT: Final = GATEWAY_LISTENER_PORT + 8000

API_URL: Final = f"https://{NODE}:{API_PORT}"
GATEWAY_URL: Final = f"http://{GATEWAY}:{GATEWAY_PORT}"
PROMETHEUS_URL: Final = f"http://{NODE}:{PROMETHEUS_PORT}"
ENVOY_ADMIN_URL: Final = f"http://{LOOPBACK}:{ENVOY_ADMIN_PORT}"
OPERATOR_METRICS: Final = f"{NODE}:9402"
