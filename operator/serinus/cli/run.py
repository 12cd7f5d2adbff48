"""``serinus run``: the operator as a process, from its settings to its exit status."""

import asyncio
import json
import logging
import signal
from datetime import UTC, datetime
from pathlib import Path

from serinus.api.texts import without_controls
from serinus.errors import ConfigurationError
from serinus.handlers.watcher import Watcher
from serinus.kube.client import KubernetesClient
from serinus.kube.connection import read_connection
from serinus.settings import Settings, load_settings
from serinus.wiring import LeadershipLostError, Operator

logger = logging.getLogger("serinus")

OK, LOST = 0, 3


def run(config: Path | None, log_format: str) -> int:
    """Run until SIGTERM or SIGINT (exit status 0), or until the leadership is lost (exit status 3).

    Raises:
        ConfigurationError: the settings are wrong or the API server cannot be found.
    """
    _log(log_format)
    settings = load_settings(config)
    if not settings.sources:
        where = config if config is not None else "the configuration"
        raise ConfigurationError(f"no metric source is set: name at least `sources.default.url` in {where}")
    return asyncio.run(_run(settings))


async def _run(settings: Settings) -> int:
    client = await KubernetesClient.open()
    try:
        operator = Operator(settings, client)
        watcher = Watcher(
            operator.controller, lambda: read_connection(None), settings.namespaces, operator.route_sources
        )
        work = asyncio.create_task(operator.run(watcher))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, work.cancel)
        return await _outcome(work)
    finally:
        await client.close()


async def _outcome(work: "asyncio.Task[None]") -> int:
    try:
        await work
    except asyncio.CancelledError:
        logger.info("stopped")
        return OK
    except ExceptionGroup as failures:
        others = failures.split(LeadershipLostError)[1]
        if others is not None:
            raise _configuration_error(others) or others from failures
        logger.error("leadership lost: exiting")  # noqa: TRY400 - a traceback adds nothing
        return LOST
    return OK


def _configuration_error(failures: "ExceptionGroup[Exception]") -> ConfigurationError | None:
    """Return what a person must correct, which needs no traceback; None where that is not what ended the operator."""
    for failure in failures.exceptions:
        if isinstance(failure, ConfigurationError):
            return failure
    return None


class _TextLines(logging.Formatter):
    """Formats each record as one line; only a traceback has more.

    A message may quote what a tenant wrote, which must neither look like a line of its own nor control a terminal.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        """Return the line without control characters."""
        return " ".join(without_controls(super().formatMessage(record)).splitlines())


class _JsonLines(logging.Formatter):
    """Formats each record as one JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": at, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _log(log_format: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines() if log_format == "json" else _TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("kopf").setLevel(logging.WARNING)
