"""Whether the API server stamps who acts: it serves the policy also where its feature gate is off, and applies none.

Where nobody is stamped, the annotations that name people are whatever their writer says. So the operator asks once in a
while to have a Model created, as a dry run, and looks whether its own account is stamped into the answer.
"""

import asyncio
import logging
import uuid
from typing import Final

from serinus.api.names import (
    API_VERSION,
    FIELD_MANAGER,
    MODEL,
    REQUESTED_BY_ANNOTATION,
    Command,
    issuer_annotation,
)
from serinus.errors import SerinusError
from serinus.kube.client import Requests
from serinus.kube.kinds import collection_path
from serinus.ports.acting import INSTALLATION, acting_for

logger = logging.getLogger(__name__)

PAUSE: Final = 300.0
"""Seconds between two probes."""

PAUSE_UNSTAMPED: Final = 30.0
"""Seconds until the next probe where nothing was stamped: the API server takes a new policy a little later."""


_CLAIMED: Final = issuer_annotation(Command.ABORT.annotation)
"""A stamp that nobody has made: the policy removes it. One of a release that does not would let anybody claim it."""


class StampProbe:
    """Finds out whether the actor stamp works.

    Attributes:
        works: whether it does; what the configuration says, until the API server has answered.
    """

    def __init__(self, client: Requests, namespace: str, *, configured: bool) -> None:
        """Probe in this namespace, where the operator may create Models; never where no stamp is ``configured``."""
        self._client = client
        self._namespace = namespace
        self._configured = configured
        self.works = configured

    async def keep(self) -> None:
        """Probe again and again, until cancelled."""
        while self._configured:
            await self.look()
            await asyncio.sleep(PAUSE if self.works else PAUSE_UNSTAMPED)

    async def look(self) -> None:
        """Probe once; nothing changes where the API server does not answer."""
        try:
            works = await self._is_stamped()
        except SerinusError as problem:
            logger.info("whether the API server stamps who acts is not known: %s", problem)
            return
        if works and not self.works:
            logger.info("the API server stamps who acts")
        if not works and self.works:
            logger.error(
                "the API server does not stamp who acts, although the configuration says so: no name on an object is "
                "believed, and four eyes approve nothing. Turn on its feature gate MutatingAdmissionPolicy, apply the "
                "policy of this release, or set actorStamp.enabled: false in the chart"
            )
        self.works = works

    async def _is_stamped(self) -> bool:
        name = f"stamp-probe-{uuid.uuid4().hex[:8]}"
        claim = {_CLAIMED: "nobody"}
        metadata = {"name": name, "annotations": claim}
        manifest = {"apiVersion": API_VERSION, "kind": MODEL.kind, "metadata": metadata, "spec": {}}
        query = {"dryRun": "All", "fieldManager": FIELD_MANAGER}
        path = collection_path(MODEL, self._namespace)
        with acting_for(INSTALLATION):
            raw = await self._client.request("POST", path, body=manifest, query=query)
        stored = raw.get("metadata")
        annotations = stored.get("annotations") if isinstance(stored, dict) else None
        if not isinstance(annotations, dict):
            return False
        return bool(annotations.get(REQUESTED_BY_ANNOTATION)) and _CLAIMED not in annotations
