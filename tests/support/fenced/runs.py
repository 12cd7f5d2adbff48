"""Which test runs a fenced command: each of README and docs is run."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from support.fenced.blocks import Block, logical_lines


class Where(Enum):
    """What a command needs to be run."""

    ANYWHERE = "the page's folder"
    ROLLED_BACK = "a cluster with the operator and a Rollout whose candidate was rolled back"
    UNDER_WAY = "a Rollout of its own, with a run under way"
    AT_GATE = "a Rollout of its own, with a run that waits for an approval"
    FLEET = "DynamoDB"
    ARGO_CD = "Argo CD: make test-installed runs it"
    MLFLOW = "an MLflow server and a cluster"
    INSTALLS = "a cluster in which Serinus is not installed"
    SERVES = "a cluster, until it is interrupted"
    CLUSTER_OF_ITS_OWN = "a local cluster that the page starts and ends"
    DEMO_ELSEWHERE = "a cluster with a gateway, Prometheus and the chart"
    INDEX = "the checkout and a package index"
    NODE = "the chart's pods on a real node: make test-installed runs it"
    IMAGE = "buildah: make test-installed runs it"
    CI = "an hour or so: CI runs it"
    WITH_ITS_PAGE = "the whole page: a test of its own runs it from top to bottom"


@dataclass(frozen=True, slots=True)
class Line:
    """A command line of a page, as a reader would paste it.

    Attributes:
        place: the page and the line.
        page: the file, relative to the repository.
        text: the line.
        files: the files that the page prints before the line, by name.
    """

    place: str
    page: str
    text: str
    files: Mapping[str, str] = field(default_factory=dict)


PAGE_TESTS: Final[Mapping[str, str]] = {
    "docs/how-to/from-a-registry-class.md": "tests/contract/cli/test_registry_class_page.py",
    "docs/how-to/choose-limits.md": "tests/deploy/test_choose_limits_page.py",
    "docs/how-to/argo-cd-by-example.md": "tests/installed/cluster/test_argo_cd.py",
}
"""By page, the test that runs it from top to bottom and compares what its commands print."""

FILES: Final[Mapping[str, str]] = {
    "Makefile": "Makefile",
    "examples": "examples",
    "deploy": "deploy",
    "manifests": "examples/quickstart",
    "versions": "examples/schema",
}
"""By the name that a page gives to a file or folder of the reader, what stands for it in a page's folder."""

STANDS_FOR: Final[Mapping[str, str]] = {
    r"(?<=-n )(ml|fraud|payments|demo|NAMESPACE)\b": "{namespace}",
    r"(?<=annotate namespace )(ml|fraud)\b": "{namespace}",
    r"\b(NAME|ROUTE)\b": "{model}",
    r"http://127\.0\.0\.1:9090": "{prometheus}",
    r"\bPOD_ADDRESS\b": "{server}",
    # Its status is 0 for any answer otherwise.
    r"^curl ": "curl --fail ",
    r"'s3://audit-archive/serinus\?region=eu-central-1'|s3://fraud-archive/audit": "archive",
}
"""By a pattern of what a reader replaces, what a test on a cluster writes there."""

BEFORE: Final[Mapping[str, str]] = {
    # A repository with a release and a commit after it.
    r"^git describe": (
        "git init --quiet && git config user.name ada && git config user.email ada@corp.example && "
        "git commit --quiet --allow-empty -m one && git tag v2.2.4 && git commit --quiet --allow-empty -m two"
    ),
    r"^serinus resume": "serinus pause fraud-detector -n fraud --reason INC-4711",
    # Two pages freeze the namespace.
    r"freeze=\"quarter end, until": "kubectl annotate namespace fraud serinus.dev/freeze-",
    # Two pages give it.
    r"create rolebinding on-call-overrides": "kubectl delete rolebinding on-call-overrides -n fraud --ignore-not-found",
    # A key is never overwritten.
    r"^serinus audit keygen": "rm -f serinus-checkpoints.pem serinus-checkpoints.pub.pem",
    r"'s3://audit-checkpoints/": (
        "serinus audit keygen && serinus audit checkpoint --registry kubernetes: --key-file serinus-checkpoints.pem "
        "--checkpoints 's3://audit-checkpoints/serinus/checkpoints?region=eu-central-1'"
    ),
    r"'s3://audit-lock/": (
        "serinus audit keygen -o serinus.pem && serinus audit checkpoint --registry kubernetes: --key-file serinus.pem "
        "--checkpoints 's3://audit-lock/serinus/checkpoints?region=eu-central-1'"
    ),
    r"apply -f rollout\.yaml .*without managed": (
        "kubectl get mro fraud-detector -o json | jq '{apiVersion, kind, metadata: {name: .metadata.name}, spec}' "
        "> rollout.yaml && kubectl delete mro fraud-detector --cascade=orphan"
    ),
    r"patch configmap argocd-cm": "kubectl create namespace argocd && kubectl create configmap argocd-cm -n argocd",
    r"explain churn": "kubectl apply -n ml -f examples/named-query/rollout.yaml",
}
"""By a pattern of command lines, what the page takes to have been done before."""

AFTER: Final = (
    "kubectl delete namespace fraud search argocd --ignore-not-found --wait=false",
    "kubectl delete secret serinus-checkpoint-key serinus-oncall serinus-chat -n serinus-system --ignore-not-found",
)
"""What is done after all lines: the other tests of the cluster know nothing of these."""

EXPECTED: Final[Mapping[str, frozenset[int]]] = {
    # The first of the two runs: the role may not remove what it has told of.
    r"^serinus audit prune .* --policy": frozenset({0, 1}),
    # The candidate was rolled back.
    r"^serinus status [^;]*$": frozenset({2}),
    # The operator of the tests is a process, and not in the cluster.
    r"^serinus check": frozenset({0, 1}),
    r"^serinus version --operator": frozenset({1}),
    # The Services are in the cluster, and not in the list that is checked.
    r"^helm template models": frozenset({0}),
    r"\| serinus lint -f -": frozenset({0, 1}),
    # The cluster has other Services and no route of these names.
    r"^serinus lint --cluster": frozenset({0, 1}),
    # The plan with mistakes.
    r"^serinus lint -f rollout\.yaml": frozenset({1}),
    # The policies refuse it, as the page says.
    r"--as=somebody": frozenset({1}),
}
"""By a pattern of command lines, the exit statuses that they may have; 0 for all others."""

_NEEDS: Final[Mapping[Where, re.Pattern[str]]] = {
    Where.FLEET: re.compile(r"(?<!R=')dynamodb:|AWS_ACCESS"),
    Where.ARGO_CD: re.compile(r"^argocd |^kubectl patch application"),
    Where.MLFLOW: re.compile(r"^serinus import mlflow|apply -f fraud-detector-v2\.3\.1\.yaml"),
    Where.INSTALLS: re.compile(r"^helm (install|upgrade|history|rollback) serinus|kubectl apply --server-side -k"),
    Where.SERVES: re.compile(r"^serinus web|programs\.dynamodb"),
    Where.CLUSTER_OF_ITS_OWN: re.compile(r"-m localcluster (up|exec|down)"),
    Where.DEMO_ELSEWHERE: re.compile(r"^make demo KUBECONFIG="),
    Where.INDEX: re.compile(r"pip install \.$"),
    Where.NODE: re.compile(r"^helm test|rollout status deployment/serinus|^kubectl logs"),
    Where.IMAGE: re.compile(r"^buildah "),
    Where.CI: re.compile(r"^make (demo|test|check|setup)\b(?! KUBECONFIG)"),
    Where.ANYWHERE: re.compile(
        r"^serinus (version$|lint -f|diff .* -f (examples|versions)|diff old|import)|^eval |^export |^R="
        r"|^mkdir -p ~/\.config/fish|^\. \.venv|^git describe|^make *#|^helm template models|find \. -type f"
    ),
    Where.AT_GATE: re.compile(r"serinus\.dev/promote=|serinus promote"),
    Where.UNDER_WAY: re.compile(
        r"^serinus (abort|rollback|pause|resume|retry)|kubectl (delete|patch) mro|serinus\.dev/abort="
        r"|apply -f rollout\.yaml .*without managed|patch httproute|jq '\.spec\.rules"
    ),
}
"""The pattern of the lines of each kind; the first that fits counts, and a line that none fits needs a Rollout."""

_LAST: Final = re.compile(r"rolebinding once|--as=alice$")
"""Takes a version away that the other lines look at."""

_EVENTUALLY: Final = re.compile(r"can-i|--as=")
"""The API server takes a moment to know of a right."""


def expected(line: Line) -> frozenset[int]:
    """Return the exit statuses that a command line may have."""
    return next((statuses for pattern, statuses in EXPECTED.items() if re.search(pattern, line.text)), frozenset({0}))


def before(line: Line) -> str:
    """Return what is to be done before a command line; empty where that is nothing."""
    return next((done for pattern, done in BEFORE.items() if re.search(pattern, line.text)), "")


def where(line: Line) -> Where:
    """Return what a command line needs."""
    if line.page in PAGE_TESTS:
        return Where.WITH_ITS_PAGE
    return next((kind for kind, pattern in _NEEDS.items() if pattern.search(line.text)), Where.ROLLED_BACK)


def comes_last(line: Line) -> bool:
    """Return whether a line takes away what the other lines look at."""
    return bool(_LAST.search(line.text))


def may_take_a_moment(line: Line) -> bool:
    """Return whether a line is to be tried again until it works."""
    return bool(_EVENTUALLY.search(line.text))


def lines_of(blocks: Sequence[Block]) -> Iterator[Line]:
    """Yield every command line of the blocks."""
    files: dict[str, str] = {}
    for block in blocks:
        if block.title:
            files[block.title] = f"{block.text}\n"
        for number, text in logical_lines(block):
            if text.strip() and not text.lstrip().startswith("#"):
                yield Line(f"{block.page}:{number}", block.page, text, dict(files))
