"""A lightweight Kubernetes client over plain HTTP: requests, server-side apply and watch."""

import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from localcluster.errors import LocalClusterError

Manifest = dict[str, Any]

_MANAGER: Final = "serinus-localcluster"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30)
_WATCH_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=330)
_WATCH_SECONDS: Final = "300"

RESOURCES: Final[Mapping[str, str]] = {
    "CustomResourceDefinition": "customresourcedefinitions",
    "Namespace": "namespaces",
    "GatewayClass": "gatewayclasses",
    "Gateway": "gateways",
    "Node": "nodes",
    "Lease": "leases",
}


class ApiError(LocalClusterError):
    """The API server rejected a request.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """A client for one user; use it as an asynchronous context manager."""

    def __init__(self, kubeconfig: Path, *, acting_as: str = "") -> None:
        """Prepare a client; with ``acting_as`` the kubeconfig's user, who must be allowed to, acts as another one."""
        config = json.loads(kubeconfig.read_text(encoding="utf-8"))
        self._server: str = config["clusters"][0]["cluster"]["server"]
        self._tls = _tls(config)
        self._headers = {"Impersonate-User": acting_as} if acting_as else {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=64)
        self._session = aiohttp.ClientSession(
            self._server, connector=connector, timeout=_TIMEOUT, headers=self._headers
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def ready(self) -> bool:
        """Return whether the API server reports ready."""
        try:
            async with self._open.get("/readyz") as response:
                return response.ok
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def request(
        self, method: str, path: str, body: object = None, *, content_type: str = "application/json", **query: str
    ) -> Manifest:
        """Send one request and return the decoded object.

        Raises:
            ApiError: The API server rejected it.
            aiohttp.ClientError: The API server could not be reached.
        """
        data = None if body is None else json.dumps(body)
        async with self._open.request(
            method, path, data=data, params=query, headers={"Content-Type": content_type}
        ) as response:
            content = await response.read()
            if not response.ok:
                raise ApiError(response.status, f"{method} {path}: {response.status} {_reason(content)}")
        result: Manifest = json.loads(content)
        return result

    async def apply(self, manifest: Manifest) -> Manifest:
        """Apply a manifest by server-side apply.

        Raises:
            ApiError: The API server rejected it.
        """
        path = f"{collection(manifest)}/{manifest['metadata']['name']}"
        return await self.request(
            "PATCH", path, manifest, content_type="application/apply-patch+yaml", fieldManager=_MANAGER, force="true"
        )

    async def merge(self, path: str, change: Manifest) -> Manifest:
        """Apply a merge patch to an object.

        Raises:
            ApiError: The API server rejected it.
        """
        return await self.request(
            "PATCH", path, change, content_type="application/merge-patch+json", fieldManager=_MANAGER
        )

    async def watch(self, path: str, version: str, **query: str) -> AsyncIterator[Manifest]:
        """Yield the events of a collection since a resource version, until the server closes the stream.

        Raises:
            ApiError: The API server rejected the watch; status 410 if the version is too old.
        """
        options = query | {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": _WATCH_SECONDS,
        }
        async with self._open.get(path, params=options, timeout=_WATCH_TIMEOUT) as response:
            if not response.ok:
                raise ApiError(response.status, f"watch {path}: {_reason(await response.read())}")
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event: Manifest = json.loads(line)
                    if event["type"] == "ERROR":
                        raise ApiError(
                            event["object"].get("code", 500), f"watch {path}: {event['object'].get('message')}"
                        )
                    yield event

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise LocalClusterError("the API client is not open: use it in `async with`")
        return self._session


def collection(manifest: Manifest) -> str:
    """Return the API path of the objects of a manifest's kind and namespace.

    Raises:
        LocalClusterError: The local cluster does not apply this kind itself.
    """
    kind, version = manifest["kind"], manifest["apiVersion"]
    if kind not in RESOURCES:
        raise LocalClusterError(f"the local cluster does not apply a {kind}: use kubectl apply")
    prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
    namespace = manifest["metadata"].get("namespace")
    return f"{prefix}/namespaces/{namespace}/{RESOURCES[kind]}" if namespace else f"{prefix}/{RESOURCES[kind]}"


def _reason(content: bytes) -> str:
    try:
        message = json.loads(content).get("message")
    except (ValueError, AttributeError):
        message = None
    return str(message or content[:300].decode(errors="replace"))


def _tls(config: Manifest) -> ssl.SSLContext:
    authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    user = config["users"][0]["user"]
    # The ssl module loads client certificates from files only.
    with tempfile.NamedTemporaryFile() as file:
        for part in ("client-certificate-data", "client-key-data"):
            file.write(base64.b64decode(user[part]))
        file.flush()
        context.load_cert_chain(file.name)
    return context
