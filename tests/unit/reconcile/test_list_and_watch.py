"""A list and a watch of one kind together show the cluster as it is, whatever comes first."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from serinus.api.names import ObjectKey
from serinus.ports.cluster_state import EndpointsRecord, Meta
from serinus.reconcile.cache import ClusterCache

State = dict[str, tuple[str, int]]
"""Uid and version of each object by its name."""


@dataclass(frozen=True)
class Change:
    """A change of one object: what it is afterwards, or that the one of this uid is gone."""

    name: str
    uid: str
    version: int
    deleted: bool


@st.composite
def histories(draw: st.DrawFn) -> list[Change]:
    """Draw changes of a few names: created, modified, deleted and made anew, each at the next version."""
    changes, alive = list[Change](), dict[str, str]()
    for version in range(1, draw(st.integers(1, 14))):
        name = draw(st.sampled_from("abc"))
        deleted = name in alive and draw(st.booleans())
        uid = alive.setdefault(name, f"{name}-{version}")
        if deleted:
            del alive[name]
        changes.append(Change(name, uid, version, deleted))
    return changes


def state_after(changes: list[Change]) -> State:
    state = State()
    for change in changes:
        state.pop(change.name, None)
        if not change.deleted:
            state[change.name] = (change.uid, change.version)
    return state


def record(name: str, uid: str, version: int) -> EndpointsRecord:
    return EndpointsRecord(meta=Meta(key=ObjectKey("ml", name), uid=uid, version=version), service="s", ready=version)


def listed(state: State) -> list[EndpointsRecord]:
    return [record(name, uid, version) for name, (uid, version) in state.items()]


def tell(cache: ClusterCache, change: Change) -> None:
    """Tell the cache of a change, as the watch does."""
    if change.deleted:
        cache.drop(EndpointsRecord, ObjectKey("ml", change.name), change.uid)
    else:
        cache.put(record(change.name, change.uid, change.version))


@given(histories(), st.data())
def test_the_cache_shows_the_cluster_once_the_list_was_stored_and_all_events_have_come(
    changes: list[Change], data: st.DataObject
) -> None:
    """The cache knows an old state; then a watch begins that tells of all later changes, and after that a list."""
    known = data.draw(st.integers(0, len(changes)), "what is known")
    begun = data.draw(st.integers(known, len(changes)), "where the watch begins")
    told = data.draw(st.integers(begun, len(changes)), "what it has told when the list begins")
    seen = data.draw(st.integers(told, len(changes)), "what the list shows")
    during = data.draw(st.integers(told, len(changes)), "what the watch has told when the list was read")
    cache = ClusterCache()
    for old in listed(state_after(changes[:known])):
        cache.put(old)

    for change in changes[begun:told]:
        tell(cache, change)
    listing = cache.begin_listing(EndpointsRecord)
    for change in changes[told:during]:
        tell(cache, change)
    records = listed(state_after(changes[:seen]))
    for key in cache.vanished(listing, records):
        cache.drop(EndpointsRecord, key, listing.known[key])
    cache.put_all(listing, records)
    cache.end_listing(listing)
    for change in changes[during:]:
        tell(cache, change)

    found = {name: cache.uid_of(EndpointsRecord, ObjectKey("ml", name)) for name in "abc"}
    final = state_after(changes)
    assert found == {name: final[name][0] if name in final else None for name in "abc"}
    assert cache.ready_endpoints("ml", "s") == sum(version for _, version in final.values())
