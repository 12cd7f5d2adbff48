"""The chart's roles and policies in the local cluster, for the tests that need people in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from demo.operatorprocess import LEASE_NAMESPACE
from localcluster.settings import CHECKOUT
from support.kubectl import Kubectl
from support.release import until_the_api_server_stamps

_BASE: Final = CHECKOUT / "deploy/kustomize/base"


@contextmanager
def policies_applied(admin: Kubectl) -> Iterator[None]:
    """Apply the roles and policies under the names that the pages use, wait until they bite, and remove them."""
    parts = _files("rbac", "people", "policies")
    # The namespace stays: the operators of other tests have their Leases in it.
    admin("apply", "--server-side", "-f", str(_BASE / "namespace.yaml"))
    here = admin.within(LEASE_NAMESPACE)
    here("apply", "--server-side", *parts)
    try:
        until_the_api_server_stamps(admin, wanted=True)
        yield
    finally:
        here("delete", "--ignore-not-found", *parts)
        until_the_api_server_stamps(admin, wanted=False)


def _files(*names: str) -> list[str]:
    return [f"--filename={Path(_BASE, f'{name}.yaml')}" for name in names]
