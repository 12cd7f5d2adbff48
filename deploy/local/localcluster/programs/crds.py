"""Custom resource definitions: those of the Gateway API, Contour and Serinus."""

import asyncio
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import yaml

from localcluster.api import Api, Manifest, collection
from localcluster.console import progress
from localcluster.errors import LocalClusterError
from localcluster.programs.catalogue import CONTOUR, ISTIO, KSERVE
from localcluster.programs.gobuild import module_folder
from localcluster.settings import CHECKOUT, Feature, Settings, cache_folder

SERINUS: Final = CHECKOUT / "deploy" / "crds"
_TIMEOUT_SECONDS: Final = 30.0


def provide() -> Path:
    """Collect the gateway's CRDs from the Go modules into one cached JSON file, which loads quickly.

    Raises:
        LocalClusterError: The modules are available neither in the module cache nor from the proxy.
    """
    cached = cache_folder() / "crds" / CONTOUR / "gateway.json"
    if cached.exists():
        return cached
    with progress("custom resources of the gateway"):
        gateway_api = module_folder("sigs.k8s.io/gateway-api", "contour") / "config" / "crd" / "experimental"
        contour = (
            module_folder("github.com/projectcontour/contour", "contour") / "examples" / "contour" / "01-crds.yaml"
        )
        manifests = [
            manifest for file in (*sorted(gateway_api.glob("gateway.*.yaml")), contour) for manifest in _read(file)
        ]
        cached.parent.mkdir(parents=True, exist_ok=True)
        part = cached.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(manifests), encoding="utf-8")
        part.replace(cached)
    return cached


async def install(api: Api, settings: Settings) -> None:
    """Apply all CRDs and wait until the API server serves them.

    Raises:
        LocalClusterError: The API server rejects one, or does not establish it in time.
    """
    manifests: list[Manifest] = []
    if settings.has(Feature.GATEWAY):
        manifests += json.loads(provide().read_text(encoding="utf-8"))
    for file in sorted(SERINUS.glob("*.yaml")):
        manifests += _read(file)
    await establish(api, manifests)


async def establish(api: Api, manifests: Iterable[Manifest]) -> None:
    """Apply these CRDs and wait until the API server serves them.

    Raises:
        LocalClusterError: The API server rejects one, or does not establish it in time.
    """
    async with asyncio.TaskGroup() as group:
        for manifest in manifests:
            group.create_task(_establish(api, manifest))


def of_istio() -> list[Manifest]:
    """Return all CRDs of Istio; LocalClusterError if its Go module cannot be fetched."""
    return _of_module("istio.io/istio", "istio", ISTIO, "manifests/charts/base/files/crd-all.gen.yaml")


def of_kserve() -> list[Manifest]:
    """Return the CRD of InferenceServices; LocalClusterError if KServe's Go module cannot be fetched."""
    file = "config/crd/full/serving.kserve.io_inferenceservices.yaml"
    return _of_module("github.com/kserve/kserve", "kserve", KSERVE, file)


def of_inference_pools() -> list[Manifest]:
    """Return the CRD of InferencePools; LocalClusterError if the Go module cannot be fetched."""
    file = "config/crd/bases/inference.networking.k8s.io_inferencepools.yaml"
    return _of_module("sigs.k8s.io/gateway-api-inference-extension", "kserve", KSERVE, file)


def _of_module(module: str, source: str, version: str, file: str) -> list[Manifest]:
    """Return the CRDs of a file of a module, from the cache where they are: two megabytes of YAML take long to read."""
    cached = cache_folder() / "crds" / version / f"{Path(file).stem}.json"
    if not cached.exists():
        manifests = _read(module_folder(module, source) / file)
        cached.parent.mkdir(parents=True, exist_ok=True)
        part = cached.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(manifests), encoding="utf-8")
        part.replace(cached)
    found: list[Manifest] = json.loads(cached.read_text(encoding="utf-8"))
    return found


async def await_condition(api: Api, manifest: Manifest, condition: str) -> None:
    """Wait until a condition of an applied object is True.

    Raises:
        LocalClusterError: It does not become True in time; the message contains the object's conditions.
    """
    path = f"{collection(manifest)}/{manifest['metadata']['name']}"
    current = await api.request("GET", path)
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            while not is_true(current, condition):
                await asyncio.sleep(0.1)
                current = await api.request("GET", path)
    except TimeoutError as error:
        conditions = json.dumps(current.get("status", {}).get("conditions"))
        raise LocalClusterError(f"{path} is not {condition} after {_TIMEOUT_SECONDS:.0f} s: {conditions}") from error


async def _establish(api: Api, manifest: Manifest) -> None:
    await api.apply(manifest)
    await await_condition(api, manifest, "Established")


def is_true(manifest: Manifest, condition: str) -> bool:
    """Return whether a condition of an object's status is True."""
    conditions = manifest.get("status", {}).get("conditions") or []
    return any(entry["type"] == condition and entry["status"] == "True" for entry in conditions)


def _read(file: Path) -> list[Manifest]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with file.open(encoding="utf-8") as stream:
        return [manifest for manifest in yaml.load_all(stream, Loader=loader) if manifest]
