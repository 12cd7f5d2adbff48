"""What Prometheus has of each data plane, for the demo's own reading. See ``docs/reference/metrics-presets.md``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlane:
    """The series of one data plane.

    Attributes:
        backend: returns the matcher of a backend's series, for its namespace, Service and port.
        requests: the counter of responses.
        code: the label with their status.
        classes: whether that label has the first digit only.
        times: the histogram of response times, without its suffix.
        per_second: the histogram's unit.
    """

    backend: Callable[[str, str, int], str]
    requests: str
    code: str
    classes: bool = False
    times: str
    per_second: float = 1000.0

    def of_class(self, digit: str) -> str:
        """Return the matcher of responses of a class, such as 5 for 5xx."""
        return f'{self.code}="{digit}"' if self.classes else f'{self.code}=~"{digit}.."'


def _envoy(backend: Callable[[str, str, int], str]) -> DataPlane:
    return DataPlane(
        backend=backend,
        requests="envoy_cluster_upstream_rq_xx",
        code="envoy_response_code_class",
        classes=True,
        times="envoy_cluster_upstream_rq_time",
    )


def _traefik(backend: Callable[[str, str, int], str]) -> DataPlane:
    return DataPlane(
        backend=backend,
        requests="traefik_service_requests_total",
        code="code",
        times="traefik_service_request_duration_seconds",
        per_second=1.0,
    )


CONTOUR: Final = _envoy(lambda namespace, service, port: f'envoy_cluster_name="{namespace}_{service}_{port}"')

DATA_PLANES: Final[Mapping[str, DataPlane]] = {
    "contour": CONTOUR,
    "envoy": CONTOUR,
    "envoy-gateway": _envoy(
        lambda namespace, service, port: f'envoy_cluster_name=~"service/{namespace}/{service}/{port}(/.*)?"'
    ),
    "istio": DataPlane(
        backend=lambda namespace, service, _: (
            rf'reporter="source",destination_service=~"{service}\\.{namespace}\\.svc\\..+"'
        ),
        requests="istio_requests_total",
        code="response_code",
        times="istio_request_duration_milliseconds",
    ),
    "traefik": _traefik(
        lambda namespace, service, _: f'service=~"httproute-.+-svc-{namespace}-{service}-[0-9]+@kubernetesgateway"'
    ),
    "traefik-3-2": _traefik(
        lambda namespace, service, port: f'service="{namespace}-{service}-http-{port}@kubernetesgateway"'
    ),
}
"""By the name of the preset."""
