"""Requests to Prometheus through prometheus-api-client, bounded in time and size, with typed responses.

The library's ``custom_query`` and ``custom_query_range`` are not usable directly (source of 0.7.2). They return only
the result, which loses ``warnings`` (part of the data is missing); they send the query in the URL even with method
POST, and servers limit its length; they read a response of any size; ``custom_query_range`` rounds times to seconds,
so that consecutive increments would no longer join. This module uses the library's client (session, adapter, method,
credentials) one level lower.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, TypeVar
from urllib.parse import unquote

import msgspec
import requests
from prometheus_api_client import PrometheusConnect
from urllib3.util.retry import Retry
from yarl import URL

from serinus.addresses import split_url
from serinus.errors import ConfigurationError, RefusedError, TransientError
from serinus.metrics.access import Access, Credentials
from serinus.metrics.label_sets import Labels, LabelSets

T = TypeVar("T")

_LOG: Final = logging.getLogger(__name__)

MAX_BYTES: Final = 32 * 1024 * 1024
_CHUNK: Final = 256 * 1024
_CONNECT_SECONDS: Final = 2.0
_FIRST_REDIRECT, _FIRST_ERROR = 300, 400
# Prometheus, HTTP API: 400 parameters missing or wrong, 422 an expression that cannot be executed.
_QUERY_INVALID: Final = frozenset({400, 422})
_DENIED: Final = frozenset({401, 403})
_REMARK: Final = "PromQL info:"


class HistogramValue(msgspec.Struct, frozen=True):
    """A native histogram (Prometheus, HTTP API): numbers as text.

    Attributes:
        count: the number of observations.
        buckets: those that are not empty, rising: which ends belong to it, lower end, upper end, count.
    """

    count: str
    buckets: list[tuple[int, str, str, str]] = []


class _Row(msgspec.Struct, frozen=True):
    metric: msgspec.Raw
    value: tuple[float, str] | None = None
    histogram: tuple[float, HistogramValue] | None = None


class Sample(msgspec.Struct, frozen=True):
    """One series at one time: seconds since 1970, and the value as text or a native histogram."""

    metric: Labels
    value: tuple[float, str] | None = None
    histogram: tuple[float, HistogramValue] | None = None

    @property
    def content(self) -> HistogramValue | str:
        """The value or the histogram, whichever it has."""
        if self.histogram is not None:
            return self.histogram[1]
        return self.value[1] if self.value is not None else "NaN"


class Series(msgspec.Struct, frozen=True):
    """One series over time."""

    metric: dict[str, str]
    values: list[tuple[float, str]] = []
    histograms: list[tuple[float, HistogramValue]] = []


class _Data(msgspec.Struct, frozen=True):
    result_type: str = msgspec.field(name="resultType")
    result: msgspec.Raw


class _Body(msgspec.Struct, frozen=True):
    data: _Data
    warnings: list[str] = []
    infos: list[str] = []
    is_partial: bool = msgspec.field(default=False, name="isPartial")

    @property
    def partial(self) -> bool:
        """Whether data may be missing.

        VictoriaMetrics says ``isPartial``, Thanos and Mimir warn. Prometheus 2.48 to 2.52 had its remarks on the query
        ("PromQL info: ...") among the warnings; they say nothing about the data.
        """
        return self.is_partial or any(not warning.startswith(_REMARK) for warning in self.warnings)


class Vector(msgspec.Struct, frozen=True):
    """Result of an instant query; ``partial`` where Prometheus warns that data is missing."""

    samples: list[Sample]
    partial: bool


class Matrix(msgspec.Struct, frozen=True):
    """Result of a range query; ``partial`` as in ``Vector``."""

    series: list[Series]
    partial: bool


_FORM: Final = "application/x-www-form-urlencoded"
_BODY: Final = msgspec.json.Decoder(_Body)
_ROWS: Final = msgspec.json.Decoder(list[_Row])
_SERIES: Final = msgspec.json.Decoder(list[Series])
_SCALAR: Final = msgspec.json.Decoder(tuple[float, str])


class Transport:
    """HTTP client of one Prometheus. Every method may block for twice the time-out: call it in a thread."""

    def __init__(
        self,
        url: str,
        timeout: float,
        access: Access | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            url: URL of Prometheus, including a path prefix; may contain a user and password.
            timeout: seconds for a complete response.
            access: the files with credentials and certificates, if it needs any.
            monotonic: a monotonic clock in seconds.

        Raises:
            ConfigurationError: the URL is invalid, or says otherwise who asks than ``access``.
        """
        parts = split_url(url, "a metric source's url")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError("a metric source's url must be http://… or https://… with a host")
        if parts.username and access is not None and access.user is not None:
            raise ConfigurationError("a metric source's url has a user, and basicAuth another one: keep one")
        self.place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        session = requests.Session()
        session.trust_env = False  # no proxy or .netrc of the environment may redirect or authenticate our queries
        user = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._client = PrometheusConnect(
            self.place,
            method="POST",
            timeout=(min(_CONNECT_SECONDS, timeout), timeout),
            retry=Retry(0, redirect=0),
            session=session,
            auth=user,
        )
        self._timeout, self._monotonic = timeout, monotonic
        self._access = access or Access()
        self._access.prepare(session)
        self._credentials = Credentials(self._access)
        self._labels = LabelSets(monotonic)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def instant(self, query: str, at: str) -> Vector:
        """Evaluate the query at one time (seconds since 1970, as text).

        Raises:
            RefusedError: Prometheus rejects the query.
            TransientError: no usable response within the time and size limits.
        """
        body = self._post("query", {"query": query, "time": at})
        match body.data.result_type:
            case "vector":
                samples = self._samples(_decode(_ROWS, body.data.result))
            case "scalar":
                samples = [Sample({}, _decode(_SCALAR, body.data.result))]
            case other:
                raise RefusedError(f"the query yields a {other}: make it yield one value at one time")
        _checked(sample.value[1] for sample in samples if sample.value is not None)
        _checked(sample.histogram[1] for sample in samples if sample.histogram is not None)
        return Vector(samples, body.partial)

    def _samples(self, rows: list[_Row]) -> list[Sample]:
        try:
            labels = self._labels.of([bytes(row.metric) for row in rows])
        except (msgspec.DecodeError, RecursionError) as problem:
            raise _foreign() from problem
        return [Sample(one, row.value, row.histogram) for one, row in zip(labels, rows, strict=True)]

    def range(self, query: str, start: str, end: str, step: str) -> Matrix:
        """Evaluate the query at every step (seconds, as text) from ``start`` to ``end``; raises as ``instant``."""
        body = self._post("query_range", {"query": query, "start": start, "end": end, "step": step})
        series = _decode(_SERIES, body.data.result)
        _checked(value for one in series for _, value in one.values)
        _checked(value for one in series for _, value in one.histograms)
        return Matrix(series, body.partial)

    def _post(self, verb: Literal["query", "query_range"], form: Mapping[str, str]) -> _Body:
        deadline = self._monotonic() + self._timeout
        headers = {**self._credentials.headers(), "Content-Type": _FORM}
        # The quoting of urllib takes ten times as long: a tick's queries name each backend many times.
        sent = URL().with_query({**form, "timeout": f"{round(self._timeout * 1000)}ms"}).raw_query_string
        client = self._client
        try:
            with client._session.request(  # noqa: SLF001 - see the module docstring
                client._method,  # noqa: SLF001
                f"{client.url}/api/v1/{verb}",
                data=sent.encode("ascii"),
                headers=headers,
                auth=self._credentials.basic() or client.auth,
                timeout=client._timeout,  # noqa: SLF001
                allow_redirects=False,
                stream=True,
            ) as response:
                self._check(response.status_code)
                content = self._read(response, deadline)
        # ValueError: raised by urllib3 for a malformed response, LocationParseError among others.
        except (requests.RequestException, OSError, ValueError) as problem:
            raise TransientError(
                self._access.unreadable() or f"Prometheus at {self.place} {_kind(problem)}"
            ) from problem
        body = _decode(_BODY, content)
        remarks = (*body.infos, *(warning for warning in body.warnings if warning.startswith(_REMARK)))
        if remarks:
            _LOG.debug("Prometheus at %s returned query infos: %s", self.place, "; ".join(remarks))
        return body

    def _check(self, status: int) -> None:
        if status < _FIRST_REDIRECT:
            return
        if status in _QUERY_INVALID:
            raise RefusedError(
                f"Prometheus at {self.place} refused the query (HTTP {status}): try it there, then correct it"
            )
        if status in _DENIED:
            raise TransientError(
                f"Prometheus at {self.place} denied access (HTTP {status}): check bearerTokenFile or basicAuth"
            )
        if status < _FIRST_ERROR:
            raise TransientError(f"{self.place} redirects (HTTP {status}): set the source's url to the final address")
        raise TransientError(
            f"Prometheus at {self.place} failed (HTTP {status}): check that it is up and that the url is correct"
        )

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        content = bytearray()
        for chunk in response.iter_content(_CHUNK):
            content += chunk
            if len(content) > MAX_BYTES:
                raise TransientError(
                    f"Prometheus at {self.place} answered with more than {MAX_BYTES >> 20} MiB: "
                    "split the source, or add the query's missing aggregation"
                )
            if self._monotonic() > deadline:
                raise TransientError(f"Prometheus at {self.place} did not finish its answer within {self._timeout:g}s")
        return bytes(content)


def _decode(decoder: msgspec.json.Decoder[T], content: bytes | msgspec.Raw) -> T:
    try:
        return decoder.decode(content)
    except (msgspec.DecodeError, RecursionError) as problem:
        raise _foreign() from problem


def _checked(values: Iterable[HistogramValue | str]) -> None:
    """Raise TransientError where a value that should be a number, as text, is none."""
    try:
        for value in values:
            if isinstance(value, str):
                float(value)
            else:
                for number in (value.count, *(part for bucket in value.buckets for part in bucket[1:])):
                    float(number)
    except ValueError as problem:
        raise _foreign() from problem


def _foreign() -> TransientError:
    return TransientError("not a response of Prometheus' API: it was cut off, or the url belongs to another server")


def _kind(problem: Exception) -> str:
    match problem:
        case requests.Timeout():
            return "did not answer in time: check that it is up and not overloaded"
        case requests.exceptions.ChunkedEncodingError() | requests.exceptions.ContentDecodingError():
            return "broke off its answer: check that it is up"
        case requests.exceptions.SSLError() if "CERTIFICATE_VERIFY_FAILED" in str(problem):
            return "has a certificate that is not trusted: check the url and tls.caFile"
        case requests.exceptions.SSLError():
            return "and this client did not agree on TLS: check the url and the files of tls"
        case _:
            return "cannot be reached: check that it is up and the source's url"
