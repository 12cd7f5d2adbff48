"""Sends one message to one receiver by HTTP: one try, bounded in time and size; no redirect, no proxy, no cookie."""

import asyncio
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Protocol

import aiohttp
from yarl import URL

from serinus import __version__
from serinus.addresses import split_url
from serinus.errors import ConfigurationError, RefusedError, TransientError
from serinus.notification_settings import ReceiverSettings
from serinus.notifications.blocking import OneAtATime, OwnResolver
from serinus.notifications.message import Message
from serinus.notifications.signature import read_keys, signature_headers
from serinus.ports.services import Clock

_LONGEST_FILE: Final = 16 * 1024
_FIRST_REDIRECT, _FIRST_ERROR, _FIRST_SERVER_ERROR = 300, 400, 500
# RFC 9110 and 8470: the same request may succeed later.
_LATER: Final = frozenset({408, 425, 429})


class BusyError(TransientError):
    """The receiver says how long not to ask it.

    Attributes:
        seconds: until then.
    """

    def __init__(self, problem: str, seconds: float) -> None:
        """Keep both."""
        super().__init__(problem)
        self.seconds = seconds


class Transport(Protocol):
    """Sends messages to one receiver."""

    async def send(self, message: Message) -> None:
        """Try once.

        Raises:
            RefusedError: the receiver or the settings refuse it: another try is of no use.
            BusyError: the receiver says when to try again.
            TransientError: try again; it may have been received.
        """

    async def close(self) -> None:
        """Close its connections."""


class HttpTransport:
    """The transport of one receiver; nothing of it is shared with another one's.

    No message of an error contains any part of the URL, the keys or an answer: they are secrets, or another's.
    """

    def __init__(self, settings: ReceiverSettings, clock: Clock) -> None:
        """Open nothing yet."""
        self._settings, self._clock = settings, clock
        self._seconds = settings.timeout.seconds
        self._threads = OneAtATime(f"notifications-{settings.name}")
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()

    async def send(self, message: Message) -> None:
        """Send a POST; see :class:`Transport`."""
        try:
            async with asyncio.timeout(self._seconds):
                url, headers = await self._prepared(message)
                await self._post(url, message, headers)
        except TimeoutError as problem:
            raise TransientError(f"no answer within {self._settings.timeout}") from problem
        except aiohttp.ClientSSLError as problem:
            raise TransientError("its certificate is not trusted, or TLS failed") from problem
        except aiohttp.ClientConnectorError as problem:
            reason = problem.os_error.strerror or type(problem).__name__
            raise TransientError(f"it cannot be reached: {reason}") from problem
        # ValueError: by yarl and aiohttp, of a URL that is none.
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            raise TransientError(f"it cannot be reached, or broke off: {type(problem).__name__}") from problem

    async def _prepared(self, message: Message) -> tuple[URL, Mapping[str, str]]:
        """Return the URL and the headers, from the files as they are now: Secrets are replaced without a restart."""
        settings = self._settings
        url = _url(await self._read("urlFrom", settings.url_from.file))
        headers = {"Content-Type": message.content_type, "User-Agent": f"serinus/{__version__}"}
        if settings.signing_key_from is None:
            return url, headers
        keys = read_keys(await self._read("signingKeyFrom", settings.signing_key_from.file))
        return url, headers | dict(signature_headers(message, keys, self._clock.now()))

    async def _read(self, field: str, name: str) -> str:
        def read() -> bytes:
            with Path(name).open("rb") as file:
                return file.read(_LONGEST_FILE + 1)

        try:
            content = await self._threads.run(read)
            text = content.decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as problem:
            raise TransientError(f"the file of {field} cannot be read: mount the Secret, or correct it") from problem
        if not text or len(content) > _LONGEST_FILE:
            raise RefusedError(f"the file of {field} is empty, or over {_LONGEST_FILE} bytes")
        return text

    async def _post(self, url: URL, message: Message, headers: Mapping[str, str]) -> None:
        session = self._opened()
        async with session.post(url, data=message.body, headers=headers, allow_redirects=False) as response:
            # The body is never read: the status says it all. Where it has not come as a whole the connection is closed.
            _check(response.status, response.headers.get("Retry-After", ""), self._clock)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=1,
                    resolver=OwnResolver(self._threads),
                    ttl_dns_cache=30,
                    # Less than the 5 s after which common servers close: a closed one costs a try.
                    keepalive_timeout=4,
                ),
                timeout=aiohttp.ClientTimeout(total=self._seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


def _url(text: str) -> URL:
    try:
        parts = split_url(text, "the file of urlFrom")
    except ConfigurationError as problem:
        raise RefusedError("the file of urlFrom has no valid address: write https://…") from problem
    if parts.scheme not in {"http", "https"} or not parts.hostname or len(text.split()) != 1:
        raise RefusedError("the file of urlFrom has no valid address: write https://…")
    # As it is written: a signature in its query must not be quoted anew.
    return URL(text, encoded=True)


def _check(status: int, retry_after: str, clock: Clock) -> None:
    if status < _FIRST_REDIRECT:
        return
    if status < _FIRST_ERROR:
        raise RefusedError(f"it redirects (HTTP {status}): write the final address")
    if status < _FIRST_SERVER_ERROR and status not in _LATER:
        raise RefusedError(f"it refuses (HTTP {status}): check its address, its signing key and what it accepts")
    seconds = _seconds_of(retry_after, clock)
    if seconds is not None:
        raise BusyError(f"HTTP {status}", seconds)
    raise TransientError(f"HTTP {status}")


def _seconds_of(retry_after: str, clock: Clock) -> float | None:
    """Return the seconds of a header Retry-After: a number or a date (RFC 9110, 10.2.3); None where it is neither."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - clock.now()).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
