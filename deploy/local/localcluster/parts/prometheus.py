"""Prometheus: scrapes the gateway, Contour, the operator, and the targets of the files in its `targets` folder."""

import json
from pathlib import Path
from typing import Any, Final

from localcluster.addresses import CONTOUR_HTTP_PORT, ENVOY_STATS_PORT, GATEWAY, LOOPBACK, NODE, PROMETHEUS_PORT
from localcluster.parts.part import Part, answers
from localcluster.settings import Feature, Settings

_RETENTION: Final = "12h"


def targets_folder(settings: Settings) -> Path:
    """Return the folder for JSON files of scrape targets, in the format of file_sd."""
    return settings.state / "prometheus" / "targets"


def prometheus(settings: Settings) -> Part:
    """Return Prometheus, the only metric source."""
    folder = settings.state / "prometheus"
    targets_folder(settings).mkdir(parents=True)
    config = folder / "prometheus.json"
    config.write_text(json.dumps(_config(settings), indent=2), encoding="utf-8")
    address = f"{NODE}:{PROMETHEUS_PORT}"
    return Part(
        name="prometheus",
        command=(
            str(settings.programs / "prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--storage.tsdb.retention.time={_RETENTION}",
            f"--web.listen-address={address}",
            "--web.enable-lifecycle",
        ),
        ready=answers(f"http://{address}/-/ready"),
    )


def _config(settings: Settings) -> dict[str, Any]:
    jobs = [
        _job("serinus", settings.operator_metrics),
        _job("prometheus", f"{NODE}:{PROMETHEUS_PORT}"),
        _files(settings),
    ]
    if settings.has(Feature.GATEWAY):
        envoy = _job("envoy", f"{GATEWAY}:{ENVOY_STATS_PORT}", namespace="projectcontour")
        jobs += [envoy | {"metrics_path": "/stats/prometheus"}, _job("contour", f"{LOOPBACK}:{CONTOUR_HTTP_PORT}")]
    return {"global": {"scrape_interval": settings.scrape_interval}, "scrape_configs": jobs}


def _job(name: str, target: str, **labels: str) -> dict[str, Any]:
    return {"job_name": name, "static_configs": [{"targets": [target], "labels": labels}]}


def _files(settings: Settings) -> dict[str, Any]:
    return {
        "job_name": "kubernetes-pods",
        "file_sd_configs": [{"files": [str(targets_folder(settings) / "*.json")]}],
    }
