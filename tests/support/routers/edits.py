"""An object that somebody else changes while it is being written."""

from typing import Any

from serinus.kube.client import MERGE_PATCH, KubernetesClient, Raw


class EditedInBetween:
    """A client at whose every read somebody changes the object before the answer is used."""

    def __init__(self, api: KubernetesClient, edits: int) -> None:
        self._api = api
        self.left = edits

    async def request(self, method: str, path: str, **rest: Any) -> Raw:
        answer = await self._api.request(method, path, **rest)
        if method == "GET" and self.left:
            self.left -= 1
            change = {"metadata": {"annotations": {"left": str(self.left)}}}
            await self._api.request("PATCH", path, body=change, content_type=MERGE_PATCH)
        return answer
