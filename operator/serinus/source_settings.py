"""Settings of the metric sources: where each Prometheus is, who asks, and the queries that Rollouts may use by name."""

from typing import Annotated

from msgspec import Meta, field

from serinus.api.abort_condition import is_standard
from serinus.api.metric_names import metric_meant
from serinus.api.quantities import Duration
from serinus.api.schema import QUERY_NAME, FieldError, Model

QueryName = Annotated[str, Meta(pattern=QUERY_NAME)]


class QuerySettings(Model, frozen=True, kw_only=True):
    """A PromQL query that Rollouts may use by name.

    ``promql`` may contain ``$namespace``, ``$model``, ``$version`` and ``$backend``, each inside a quoted label value.
    With ``group_by`` one query returns the values of all versions, keyed by that label.
    """

    promql: str
    group_by: str | None = None
    group_value: str = "$version"


class BasicAuthSettings(Model, frozen=True, kw_only=True):
    """User and password of a metric source.

    Attributes:
        username: of who asks.
        password_file: a file with the password; read again when it changes.
    """

    # A colon would end the name: RFC 7617, section 2.
    username: Annotated[str, Meta(pattern=r"^[^:]+$")]
    password_file: str


class TlsSettings(Model, frozen=True, kw_only=True):
    """Certificates for a metric source, in PEM files that are read for each new connection.

    Attributes:
        ca_file: of the authorities that the source's certificate is checked against, instead of the public ones.
        cert_file: the operator's own certificate, for a source that asks for one (mTLS).
        key_file: its private key, not encrypted.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def __post_init__(self) -> None:
        """Refuse a certificate without its key, and a key without its certificate."""
        if (self.cert_file is None) != (self.key_file is None):
            missing = ".keyFile" if self.key_file is None else ".certFile"
            raise FieldError(missing, "a client's certificate needs certFile and keyFile: set both or neither")


class SourceSettings(Model, frozen=True, kw_only=True):
    """One Prometheus server.

    Attributes:
        url: its address, with a path prefix where it has one.
        scrape_interval: how often it scrapes the gateway.
        timeout: for one query.
        bearer_token_file: a file with the token that says who asks; read again when it changes.
        basic_auth: a user and a password instead of a token.
        tls: certificates; without them the public authorities are trusted, and none is shown.
        queries: those that Rollouts may use, by name.
    """

    url: str
    scrape_interval: Duration = field(default_factory=lambda: Duration("15s"))
    timeout: Duration = field(default_factory=lambda: Duration("10s"))
    bearer_token_file: str | None = None
    basic_auth: BasicAuthSettings | None = None
    tls: TlsSettings | None = None
    queries: dict[QueryName, QuerySettings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot work: two ways to say who asks, certificates without TLS, a reserved name of a query.

        A query's name is reserved if it is a standard metric's, or one that is taken for a mistake.
        """
        if self.basic_auth is not None and self.bearer_token_file is not None:
            raise FieldError(".basicAuth", "bearerTokenFile is set as well, and one request has room for one: keep one")
        if self.tls is not None and not self.url.lower().startswith("https://"):
            raise FieldError(".tls", "certificates have no effect on this url: let it begin with https://")
        for name in self.queries:
            meant = metric_meant(name)
            if meant or is_standard(name):
                why = meant or "it is a standard metric."
                raise FieldError(f".queries.{name}", f"the name is reserved, {why} Give the query another name")
