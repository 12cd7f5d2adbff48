"""A real Prometheus on loopback, with a backfilled history or live scrape targets."""

import fcntl
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from localcluster.programs.packages import fetch_debian
from localcluster.settings import cache_folder
from support.servers.ready import end, free_port, wait_until_ready

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Start of every history, which fits into the two hours of one block."""


def program(name: str) -> Path:
    """Find ``prometheus`` or ``promtool`` on PATH, else extract it from the Debian package once."""
    on_path = shutil.which(name)
    if on_path:
        return Path(on_path)
    cached = cache_folder() / "prometheus-debian" / name
    cached.parent.mkdir(parents=True, exist_ok=True)
    with (cached.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not cached.exists():
            part = cached.with_suffix(".part")
            fetch_debian("prometheus", name, part)
            part.chmod(0o755)
            part.replace(cached)
    return cached


@dataclass(slots=True)
class History:
    """Samples to backfill, as OpenMetrics text; times are seconds after ``EPOCH``."""

    _samples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, labels: Mapping[str, str], samples: Iterable[tuple[float, float]]) -> Self:
        """Add one series with its samples in order."""
        inside = ",".join(f'{key}="{_escape(value)}"' for key, value in labels.items())
        lines = self._samples.setdefault(name, [])
        begin = EPOCH.timestamp()
        lines.extend(f"{name}{{{inside}}} {_number(value)} {begin + at:.3f}" for at, value in samples)
        return self

    @property
    def text(self) -> str:
        lines = [line for name in sorted(self._samples) for line in self._samples[name]]
        return "\n".join([*lines, "# EOF", ""])


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    text = repr(float(value))
    return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}.get(text, text)


class Prometheus:
    """``with Prometheus(folder, history=…) as prometheus``."""

    def __init__(  # noqa: PLR0913 - options, each set by some test
        self,
        folder: Path,
        *,
        history: History | None = None,
        targets: Iterable[str] = (),
        scrape_interval: str = "1s",
        path: str = "/metrics",
        options: Iterable[str] = (),
        job: str = "",
        binary: Path | None = None,
        more_config: str = "",
    ) -> None:
        self._folder, self._history, self._options = folder, history, tuple(options)
        self._binary = binary
        listed = ", ".join(f"'{target}'" for target in targets)
        self._config = (
            f"global: {{scrape_interval: {scrape_interval}, scrape_timeout: {scrape_interval}, "
            f"evaluation_interval: {scrape_interval}}}\n"
            f"scrape_configs: [{{job_name: test, metrics_path: {path}, {job}"
            f"static_configs: [{{targets: [{listed}]}}]}}]\n"
            f"{more_config}"
        )
        self.host, self.port = "127.0.0.1", 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def __enter__(self) -> Self:
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        if self._history is not None:
            self._backfill(self._history, data)
        config = self._folder / "prometheus.yml"
        config.write_text(self._config)
        self.port = free_port()
        command = [
            str(self._binary or program("prometheus")),
            f"--config.file={config}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address={self.host}:{self.port}",
            "--storage.tsdb.retention.time=100y",
            "--log.level=error",
            *self._options,
        ]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        try:
            wait_until_ready("Prometheus", self._process, self.port, self._folder / "log")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process)

    def _backfill(self, history: History, data: Path) -> None:
        source = self._folder / "history.om"
        source.write_text(history.text)
        command = [str(program("promtool")), "tsdb", "create-blocks-from", "openmetrics", str(source), str(data)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr


class Exporter:
    """A scrape target whose exposition and response time a test sets: ``with Exporter() as exporter``."""

    def __init__(self) -> None:
        self.text = ""
        self.seconds = 0.0
        self.scrapes = 0
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = exporter.text.encode()
                time.sleep(exporter.seconds)
                exporter.scrapes += 1
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Suppress the access log."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="exporter")

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
