"""Contour, running outside the cluster, and the Envoy that it configures."""

import json
import subprocess
from pathlib import Path
from typing import Final

from localcluster.addresses import (
    CONTOUR_HTTP_PORT,
    CONTOUR_XDS_PORT,
    ENVOY_ADMIN_PORT,
    ENVOY_ADMIN_URL,
    ENVOY_STATS_PORT,
    GATEWAY,
    GATEWAY_LISTENER_PORT,
    LOOPBACK,
)
from localcluster.api import Manifest
from localcluster.errors import LocalClusterError
from localcluster.parts.part import Part, answers
from localcluster.settings import Settings

NAMESPACE: Final = "projectcontour"
NAME: Final = "serinus"
_API: Final = "gateway.networking.k8s.io/v1"

# Envoy's default bounds up to a minute, with more between 50 ms and 2 s, because latency limits are often 200 ms.
_BOUNDS_MS: Final = (
    *(0.5, 1, 5, 10, 25, 50, 75, 100, 150, 200, 250, 300, 400, 500),
    *(750, 1000, 1500, 2000, 2500, 5000, 10000, 30000, 60000),
)

OBJECTS: Final[tuple[Manifest, ...]] = (
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
    {
        "apiVersion": _API,
        "kind": "GatewayClass",
        "metadata": {"name": "contour"},
        "spec": {"controllerName": "projectcontour.io/gateway-controller"},
    },
    {
        "apiVersion": _API,
        "kind": "Gateway",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "gatewayClassName": "contour",
            "listeners": [
                {
                    "name": "http",
                    "protocol": "HTTP",
                    "port": GATEWAY_LISTENER_PORT,
                    "allowedRoutes": {"namespaces": {"from": "All"}},
                }
            ],
        },
    },
)


def contour(settings: Settings) -> Part:
    """Return Contour, the controller of the only Gateway."""
    config = settings.state / "contour.json"
    content = {"gateway": {"gatewayRef": {"namespace": NAMESPACE, "name": NAME}}, "accesslog-level": "error"}
    config.write_text(json.dumps(content), encoding="utf-8")
    return Part(
        name="contour",
        command=(
            str(settings.programs / "contour"),
            "serve",
            f"--kubeconfig={settings.kubeconfig('contour')}",
            f"--config-path={config}",
            "--insecure",
            "--disable-leader-election",
            f"--xds-address={LOOPBACK}",
            f"--xds-port={CONTOUR_XDS_PORT}",
            f"--http-address={LOOPBACK}",
            f"--http-port={CONTOUR_HTTP_PORT}",
            f"--health-address={LOOPBACK}",
            f"--health-port={CONTOUR_HTTP_PORT}",
            f"--envoy-service-http-address={GATEWAY}",
            f"--envoy-service-https-address={GATEWAY}",
            f"--stats-address={GATEWAY}",
            f"--stats-port={ENVOY_STATS_PORT}",
            f"--ingress-status-address={GATEWAY}",
            # The default of 5 a second would delay the status of many routes that change at the same time.
            "--kubernetes-client-qps=200",
            "--kubernetes-client-burst=400",
        ),
        ready=answers(f"http://{LOOPBACK}:{CONTOUR_HTTP_PORT}/healthz"),
    )


def envoy(settings: Settings) -> Part:
    """Return Envoy, the proxy.

    Raises:
        LocalClusterError: Contour cannot write Envoy's bootstrap configuration.
    """
    config = settings.state / "envoy.json"
    _write_bootstrap(settings, config)
    return Part(
        name="envoy",
        command=(
            str(settings.programs / "envoy"),
            *("--config-path", str(config)),
            *("--service-cluster", "projectcontour"),
            *("--service-node", "envoy"),
            *("--concurrency", "1"),
            # Its shared memory is not isolated by the namespaces: two clusters would share it.
            "--disable-hot-restart",
            *("--log-level", "warning"),
        ),
        ready=answers(f"{ENVOY_ADMIN_URL}/ready"),
    )


def _write_bootstrap(settings: Settings, config_file: Path) -> None:
    command = [
        str(settings.programs / "contour"),
        "bootstrap",
        str(config_file),
        # Contour requires a socket file here; a path in a test's folder would be too long.
        "--admin-address=/admin.sock",
        f"--xds-address={LOOPBACK}",
        f"--xds-port={CONTOUR_XDS_PORT}",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise LocalClusterError(f"`{' '.join(command)}` failed:\n{result.stderr.strip()}")
    config: Manifest = json.loads(config_file.read_text(encoding="utf-8"))
    address = {"socket_address": {"address": LOOPBACK, "port_value": ENVOY_ADMIN_PORT}}
    config["admin"]["address"] = address
    for cluster in config["static_resources"]["clusters"]:
        if cluster["name"] == "envoy-admin":
            cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] = address
    # Histograms are updated at each flush only: with the default of 5 s, scrapes of 1 s would be pointless.
    config["stats_flush_interval"] = "1s"
    if settings.extra_bounds:
        bounds = {"match": {"suffix": "upstream_rq_time"}, "buckets": _BOUNDS_MS}
        config["stats_config"] = {"histogram_bucket_settings": [bounds]}
    config_file.write_text(json.dumps(config, indent=2), encoding="utf-8")
