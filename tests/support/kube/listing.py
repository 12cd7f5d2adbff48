"""An in-memory API server that also lists: page by page, with the selectors that the page uses."""

from collections.abc import Mapping
from typing import Any

from support.kube.memory import MemoryApi

Raw = dict[str, Any]


class ListingApi(MemoryApi):
    """Answers a GET of a collection with the objects below it, in the order of their paths."""

    async def request(self, method: str, path: str, **options: Any) -> Raw:
        answer = await super().request(method, path, **options)
        if "items" in answer and "metadata" not in answer:
            return _page(answer["items"], options.get("query") or {})
        return answer

    def _get(self, path: str) -> Raw:
        if path in self.objects:
            return super()._get(path)
        # The collection of all namespaces has the plural at the end, its objects have a namespace before it.
        root, _, plural = path.rpartition("/")
        inside = [
            raw
            for name, raw in sorted(self.objects.items())
            if name.startswith(f"{path}/") or (name.startswith(f"{root}/namespaces/") and f"/{plural}/" in name)
        ]
        is_collection = plural.endswith("s") and "/namespaces/" in path
        return {"items": inside} if inside or is_collection else super()._get(path)


def _page(items: list[Raw], query: Mapping[str, str]) -> Raw:
    start, limit = int(query.get("continue") or 0), int(query.get("limit") or len(items) or 1)
    more = start + limit < len(items)
    return {"metadata": {"continue": str(start + limit) if more else ""}, "items": items[start : start + limit]}
