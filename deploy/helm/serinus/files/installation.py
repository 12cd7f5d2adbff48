# ruff: noqa: INP001 - a script, which the chart puts into the pod of `helm test`
"""Whether an operator is ready, and the API server serves its kinds. The chart's pod of ``helm test`` runs it.

It needs nothing but Python's own library. It fails with what is missing, one line each.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
KINDS: Final = ("rollouts", "modelversions", "models", "auditrecords")
PATIENCE: Final = 60.0
"""Seconds until the operator must be ready: with 5,000 Rollouts a start takes half of it."""
_SECONDS: Final = 5.0
_MOST_BYTES: Final = 1024 * 1024


def ask(url: str, account: Path | None = None) -> bytes:
    """Return the body of a GET, past every proxy.

    Args:
        url: the address.
        account: the folder with the token to send and the certificate that the server must have; None for neither.

    Raises:
        OSError: there was no good answer.
    """
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    headers = {}
    if account is not None:
        headers = {"Authorization": f"Bearer {(account / 'token').read_text(encoding='ascii').strip()}"}
        tls = ssl.create_default_context(cafile=str(account / "ca.crt"))
        handlers.append(urllib.request.HTTPSHandler(context=tls))
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the addresses are the chart's
    with urllib.request.build_opener(*handlers).open(request, timeout=_SECONDS) as response:
        body: bytes = response.read(_MOST_BYTES)
    return body


def operator(url: str, pause: Callable[[float], None] = time.sleep, patience: float = PATIENCE) -> str:
    """Return what is wrong with the operator; empty where one is ready within the patience (seconds)."""
    deadline = time.monotonic() + patience
    while True:
        try:
            ask(url)
        except OSError as problem:
            if time.monotonic() > deadline:
                return f"no operator is ready at {url}: {problem}"
            pause(1.0)
        else:
            return ""


def kinds(url: str, account: Path) -> str:
    """Return what is wrong with the kinds at the API server; empty where it serves all of them."""
    try:
        answer = json.loads(ask(f"{url}/apis/serinus.dev/v1alpha1", account))
    except urllib.error.HTTPError as problem:
        return f"the API server does not serve serinus.dev/v1alpha1: {problem}"
    except (OSError, ValueError) as problem:
        return f"the API server could not be asked for its kinds: {problem}"
    served = {one["name"] for one in answer["resources"]}
    missing = [kind for kind in KINDS if kind not in served]
    return f"the API server does not serve {', '.join(missing)}" if missing else ""


def main() -> int:
    """Ask both; return the exit status."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    address = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    failures = [failure for failure in (operator(sys.argv[1]), kinds(address, ACCOUNT)) if failure]
    sys.stdout.write("\n".join(failures or ["an operator is ready, and the API server serves its kinds"]) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
