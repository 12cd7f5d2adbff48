"""Integration tests of a stage: one HTTP request by the operator, or a Kubernetes Job."""

from enum import StrEnum
from typing import Annotated, Any, Final

from msgspec import Meta, field

from serinus.api.quantities import Duration
from serinus.api.schema import NAME, FieldError, Model, items, length, refuse_twins, text

_TEMPLATE: Final = ("metadata", "spec")

_ONE_CALL: Final = Duration("10s")
_ONE_JOB: Final = Duration("10m")


class Header(Model, frozen=True, kw_only=True):
    """One HTTP header."""

    name: Annotated[str, text("Its name.", pattern=r"^[A-Za-z0-9!#$%&'*+\-.^_|~]+$")]
    value: Annotated[str, text("Its value.", least=0, most=4096, pattern=r"^[^\r\n]*$")]


class HttpMethod(StrEnum):
    """The methods that a check may use."""

    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    PUT = "PUT"


class HttpExpectation(Model, frozen=True, kw_only=True):
    """What the answer must be like."""

    status: Annotated[
        tuple[Annotated[int, Meta(ge=100, le=599)], ...],
        items("The accepted status codes; 200 where none is given.", most=16),
    ] = (200,)
    json: Annotated[
        tuple[Annotated[str, text("A JMESPath expression that must be true.", most=1024)], ...],
        items("Assertions on the JSON body, such as score >= `0`.", most=16),
    ] = ()
    max_latency: Annotated[Duration, length("The longest acceptable time until the answer is whole.")] | None = None


class HttpCheck(Model, frozen=True, kw_only=True):
    """One request by the operator to the candidate's own Service."""

    path: Annotated[str, text("The path, with its query.", most=2048, pattern=r"^/[^\s#]*$")]
    method: Annotated[HttpMethod, Meta(description="The method.")] = HttpMethod.GET
    headers: Annotated[tuple[Header, ...], items("Headers to send.", most=32, key="name")] = ()
    body: Annotated[str, text("The body to send.", least=0, most=65536)] = ""
    expect: Annotated[HttpExpectation, Meta(description="What the answer must be like.")] = field(
        default_factory=HttpExpectation
    )
    attempts: Annotated[int, Meta(description="How often the check is tried before it fails.", ge=1, le=10)] = 1
    timeout: Annotated[Duration, length("How long one attempt may take; 10s where none is given.")] = field(
        default_factory=lambda: _ONE_CALL
    )

    def __post_init__(self) -> None:
        """Refuse a header that is there twice."""
        refuse_twins(".headers", (header.name for header in self.headers))


class JobTest(Model, frozen=True, kw_only=True):
    """A Kubernetes Job that tests the candidate; it passes when the Job completes."""

    template: Annotated[
        dict[str, Any],
        Meta(
            description="A JobTemplateSpec: metadata and spec of the Job.",
            extra_json_schema={
                "required": ["spec"],
                "properties": {
                    part: {"type": "object", "x-kubernetes-preserve-unknown-fields": True} for part in _TEMPLATE
                },
            },
        ),
    ]
    timeout: Annotated[Duration, length("How long the Job may take; 10m where none is given.")] = field(
        default_factory=lambda: _ONE_JOB
    )


class IntegrationTest(Model, frozen=True, kw_only=True):
    """One test of the candidate, run while the stage is in state Testing."""

    name: Annotated[str, text("Unique in the stage.", pattern=NAME, most=40)]
    http: HttpCheck | None = None
    job: JobTest | None = None

    def __post_init__(self) -> None:
        """Refuse a test that does nothing or two things, and a Job whose template has no form."""
        if (self.http is None) == (self.job is None):
            raise FieldError("", "a test is either http or job: give exactly one of them")
        if self.job is not None:
            _check_template(self.job.template)


def _check_template(template: dict[str, Any]) -> None:
    """Refuse what the CRD refuses; the Job's own API judges the rest when the Job is made."""
    if "spec" not in template:
        raise FieldError(".job.template.spec", "a Job's template needs it")
    for name, part in template.items():
        if name not in _TEMPLATE:
            raise FieldError(".job.template", f"Object contains unknown field `{name}`")
        if not isinstance(part, dict):
            raise FieldError(f".job.template.{name}", f"expected an object, got {part!r}")
