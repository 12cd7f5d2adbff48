"""Access to the cluster that does not change while the demo runs: one kubeconfig, one context."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from demo.cluster import Kubectl
from demo.errors import CouldNotAskError, DemoError
from demo.observe import wait_for
from demo.process import Running, running

_SECONDS: Final = 30.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_OK: Final = 200


@contextmanager
def pinned(kubeconfig: Path, context: str) -> Iterator[Kubectl]:
    """Yield kubectl with a copy of one context of the kubeconfig, which nobody changes meanwhile.

    Raises:
        DemoError: kubectl is not there, or refuses the kubeconfig.
    """
    program = shutil.which("kubectl")
    if program is None:
        raise DemoError("kubectl is not on PATH: install it")
    words = [program, "config", "view", "--raw", "--minify", "--flatten", f"--kubeconfig={kubeconfig}"]
    words += [f"--context={context}"] if context else []
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_SECONDS)
    if done.returncode:
        raise DemoError(f"{kubeconfig}: {done.stderr.strip()}")
    with tempfile.TemporaryDirectory(prefix="serinus-demo-") as folder:
        copy = Path(folder) / "kubeconfig"
        copy.touch(mode=0o600)
        copy.write_text(done.stdout, encoding="utf-8")
        yield Kubectl(Path(program), {**os.environ, "KUBECONFIG": str(copy)})


@dataclass(frozen=True, slots=True)
class ProxiedApi:
    """Reads objects through ``kubectl proxy``, which knows every way to log in."""

    session: aiohttp.ClientSession

    async def request(self, method: str, path: str) -> dict[str, Any]:
        """Send a request and return the object.

        Raises:
            CouldNotAskError: the API server refused.
            aiohttp.ClientError: it could not be reached.
        """
        async with self.session.request(method, path) as response:
            content = await response.read()
            if response.status != _OK:
                raise CouldNotAskError(f"{path}: {response.status} {content[:300].decode(errors='replace')}")
            result: dict[str, Any] = await response.json()
            return result


@asynccontextmanager
async def proxied(kubectl: Kubectl, log: Path) -> AsyncIterator[tuple[ProxiedApi, Running]]:
    """Run ``kubectl proxy`` until the block ends: for reads only, at a socket that only this user may open.

    Raises:
        DemoError: it did not start.
    """
    socket = Path(kubectl.environment["KUBECONFIG"]).with_name("proxy.sock")
    command = [str(kubectl.program), "proxy", f"--unix-socket={socket}", "--reject-methods=POST,PUT,PATCH,DELETE"]
    async with running("kubectl proxy", command, kubectl.environment, log) as proxy:

        async def listens() -> bool:
            proxy.check()
            return socket.is_socket()

        await wait_for(listens, bool, within=_SECONDS, what="kubectl proxy")
        connector = aiohttp.UnixConnector(path=str(socket))
        async with aiohttp.ClientSession("http://localhost", connector=connector, timeout=_TIMEOUT) as session:
            yield ProxiedApi(session), proxy
