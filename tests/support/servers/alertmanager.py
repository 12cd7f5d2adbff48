"""A real Alertmanager on loopback that sends to a webhook, and the webhook: ``with Webhook() as hook``."""

import fcntl
import json
import os
import queue
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self

from localcluster.programs.packages import unpack_debian
from localcluster.settings import cache_folder
from support.servers.ready import end, free_port, wait_until_ready

_PACKAGE: Final = "prometheus-alertmanager"


def _unpacked() -> Path:
    """Return the folder with Debian's package, unpacked once."""
    folder = cache_folder() / "alertmanager-debian"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            unpack_debian(_PACKAGE, folder)
            (folder / "complete").touch()
    return folder


def _command() -> list[str]:
    """Return what starts Alertmanager; Debian's reads its templates at a fixed path, so it gets a mount of its own."""
    installed = shutil.which(_PACKAGE) or shutil.which("alertmanager")
    if installed:
        return [installed]
    folder = _unpacked()
    mount = 'mount --bind "$0/usr/share" /usr/share && exec "$0/usr/bin/prometheus-alertmanager" "$@"'
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *as_root, "--mount", "sh", "-c", mount, str(folder)]


class Alertmanager:
    """``with Alertmanager(folder, hook.url) as alertmanager``; groups by alert and Rollout, and waits for a second."""

    def __init__(self, folder: Path, webhook: str) -> None:
        self._folder, self._webhook = folder, webhook
        self.host, self.port = "127.0.0.1", 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def target(self) -> str:
        return f"{self.host}:{self.port}"

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "alertmanager.json"
        config.write_text(json.dumps(self._config()))
        self.port = free_port()
        options = (
            f"--config.file={config}",
            f"--storage.path={self._folder / 'data'}",
            f"--web.listen-address={self.target}",
            "--cluster.listen-address=",
            "--log.level=warn",
        )
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen([*_command(), *options], stdout=log, stderr=log)
        try:
            wait_until_ready("Alertmanager", self._process, self.port, self._folder / "log")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process)

    def _config(self) -> dict[str, Any]:
        route = {
            "receiver": "hook",
            "group_by": ["alertname", "namespace", "name"],
            "group_wait": "1s",
            "group_interval": "1s",
        }
        return {"route": route, "receivers": [{"name": "hook", "webhook_configs": [{"url": self._webhook}]}]}


class Webhook:
    """Takes in what Alertmanager sends."""

    def __init__(self) -> None:
        self._received: queue.Queue[dict[str, Any]] = queue.Queue()
        received = self._received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Suppress the access log."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="webhook")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def next(self, within: float) -> dict[str, Any]:
        """Wait for the next message, in seconds; queue.Empty where none comes."""
        return self._received.get(timeout=within)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
