"""What a real API server says of a manifest, asked by server-side dry runs over kept connections."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self

from kubernetes.config import new_client_from_config

from support.manifests.builders import Manifest

_PLURALS: Final = {
    "Rollout": "rollouts",
    "ModelVersion": "modelversions",
    "Model": "models",
    "AuditRecord": "auditrecords",
}
_REFUSALS: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})
_AT_A_TIME: Final = 4
_STRICT_DRY_RUN: Final = "dryRun=All&fieldValidation=Strict"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one dry run.

    Attributes:
        stored: the object as it would be stored; None where it is refused.
        said: the API server's sentence where it is refused.
    """

    stored: Manifest | None
    said: str = ""

    @property
    def taken(self) -> bool:
        """Whether the object would be stored."""
        return self.stored is not None


class DryRun:
    """Asks an API server, without kubectl's start of 60 ms for each question."""

    def __init__(self, pool: Any, host: str, namespace: str) -> None:
        """Ask the server at ``host`` through ``pool``, a urllib3 PoolManager, about objects in a namespace."""
        self._pool = pool
        self._host = host
        self._namespace = namespace

    @classmethod
    def of(cls, kubeconfig: Path, namespace: str) -> Self:
        """Return one that asks about objects in a namespace."""
        client = new_client_from_config(config_file=str(kubeconfig))
        return cls(client.rest_client.pool_manager, client.configuration.host, namespace)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def create_each(self, manifests: Sequence[Manifest]) -> list[Verdict]:
        """Return what :meth:`create` does of each manifest, asked four at a time."""
        with ThreadPoolExecutor(max_workers=_AT_A_TIME) as pool:
            return list(pool.map(self.create, manifests))

    def create(self, manifest: Manifest) -> Verdict:
        """Return what ``kubectl create --dry-run=server`` would come to.

        Raises:
            AssertionError: the API server neither took nor refused the object.
        """
        place = f"/apis/{manifest['apiVersion']}/namespaces/{self._namespace}/{_PLURALS[manifest['kind']]}"
        answer = self._pool.request(
            "POST",
            f"{self._host}{place}?{_STRICT_DRY_RUN}",
            body=json.dumps(manifest).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
        )
        body = json.loads(answer.data)
        if answer.status == HTTPStatus.CREATED:
            return Verdict(body)
        assert answer.status in _REFUSALS, body
        return Verdict(None, body["message"])
