"""Which fenced commands a test runs, where, and why the others are held."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from support.fenced.blocks import Block, logical_lines


class Where(Enum):
    """What a command needs to be run."""

    ANYWHERE = "the checkout"
    ROLLED_BACK = "a cluster with the operator and a Rollout whose candidate was rolled back"
    HELD = "more than a test of these pages has"


@dataclass(frozen=True, slots=True)
class Line:
    """A command line of a page, as a reader would paste it.

    Attributes:
        place: the page and the line.
        page: the file, relative to the repository.
        text: the line.
    """

    place: str
    page: str
    text: str


HELD: Final[Mapping[str, str]] = {
    r"^make\b|localcluster|-m demo |^awk .*\.demo/|-n demo\b": (
        "the demo and the suites themselves: CI runs them, tests/tools/demo and tests/tools/localcluster test "
        "their parts"
    ),
    r"^(kind|docker) |port-forward|projectcontour": (
        "needs kind, Docker and a network: tests/e2e/test_demo_elsewhere.py plays the demo that follows"
    ),
    r"8081/control": (
        "orders to a model server at an address that the reader looks up: tests/tools/demo/test_model_server.py"
    ),
    r"\bhelm (install|upgrade|test|history|rollback)\b": (
        "changes the installation: tests/deploy/cluster/test_chart.py does"
    ),
    r"kubectl apply --server-side -k|rollout status deployment|^helm template": (
        "installs the operator, or another chart: tests/deploy/cluster/test_kustomize.py"
    ),
    r"kubectl logs|get pods -n serinus-system|describe pods -n serinus-system": (
        "the operator of the tests is a process, not a pod"
    ),
    r"dynamodb:|.\$R\b|^R=|AWS_ACCESS": (
        "a registry in DynamoDB: tests/contract/cli/test_registry_class_page.py and "
        "tests/contract/registry/dynamodb run these commands"
    ),
    r"s3://|\bs3api\b": "a bucket with Object Lock: tests/integration/audit",
    r"^serinus web|ssh -L": "serves until Ctrl-C: tests/integration/web",
    r"mlflow|MLmodel|metadata\.json|fraud-detector-v2\.3\.1\.yaml": (
        "files or a server of the reader: tests/integration/mlflow and tests/unit/cli/importing"
    ),
    r"argocd|fluxcd|flux-client": "another program: tests/deploy/test_argo_cd.py",
    r"approve|promote|override|clusterrole|kubectl (auth|create role)|--as=": (
        "rights and approvals of single users: tests/deploy/cluster/test_people_and_controls.py and "
        "tests/e2e/test_people.py"
    ),
    r"mutatingadmissionpolicies|requested-by|create secret|select\(\.metadata\.annotations": (
        "the chart's policies and secrets: tests/deploy/cluster/test_actor_stamp.py"
    ),
    r"patch httproute|jq '\.spec\.rules|kubectl get httproute .*--show-managed": (
        "writes or reads the route by hand, which needs the reader's own names"
    ),
    r"kubectl (delete|patch) mro|^serinus (abort|rollback|pause|resume|retry)": (
        "ends what the other commands look at: tests/e2e/test_people.py"
    ),
    r"^kubectl create namespace": "a namespace for an installation that is held",
    r"kubectl create --dry-run=server": "probes for a policy: tests/deploy/cluster/test_kubernetes_versions.py",
    r"find \. -type f|^git describe": "a folder or a repository of the reader",
    r"audit (restore|export|verify --file|keygen|prune)": "writes files or changes the trail: tests/unit/cli/audit",
    r"report --(data|artifact) |-o fraud\.md|-f (rollout\.yaml|deploy/|versions/)|plan\.yaml|fraud-detector-v2\.3\.0": (
        "a digest that is cut short, or files of the reader: tests/unit/cli"
    ),
    r"serinus diff (old\.yaml|v2\.2\.4 v2\.3\.0 -n)": "files or versions of the reader: tests/unit/cli/diff",
    r"simulate .*(recording\.jsonl|--find|--rate)": "takes long: tests/deploy/test_choose_limits_page.py runs them",
    r"explain churn": "a Rollout with a named query: tests/deploy/cluster/test_examples.py",
    r"\.venv/bin|^export |pip install": "sets a reader's own machine up",
    r"rolebinding once": "takes away what a command that is held has given",
    r"zsh_source": "zsh may not be there: tests/unit/cli/test_completion.py reads its script",
}
"""By a pattern of command lines, why no test of the pages runs them, and which other test does."""

_ANYWHERE: Final = re.compile(
    r"^(serinus (version$|lint -f examples|diff .* -f examples)|eval |mkdir -p ~/.config/fish)"
)


EXPECTED: Final[Mapping[str, frozenset[int]]] = {
    # The candidate was rolled back.
    r"^serinus status [^;]*$": frozenset({2}),
    # The operator of the tests is a process, and not in the cluster.
    r"^serinus check": frozenset({0, 1}),
    r"^serinus version --operator": frozenset({1}),
    # The Services are in the cluster, and not in the list that is checked.
    r"\| serinus lint -f -": frozenset({0, 1}),
}
"""By a pattern of command lines, the exit statuses that they may have; 0 for all others."""


def expected(line: Line) -> frozenset[int]:
    """Return the exit statuses that a command line may have."""
    return next((statuses for pattern, statuses in EXPECTED.items() if re.search(pattern, line.text)), frozenset({0}))


def where(line: Line) -> Where:
    """Return what a command line needs."""
    if any(re.search(pattern, line.text) for pattern in HELD):
        return Where.HELD
    return Where.ANYWHERE if _ANYWHERE.search(line.text) else Where.ROLLED_BACK


def lines_of(blocks: Sequence[Block]) -> Iterator[Line]:
    """Yield every command line of the blocks."""
    for block in blocks:
        for number, text in logical_lines(block):
            if text.strip() and not text.lstrip().startswith("#"):
                yield Line(f"{block.page}:{number}", block.page, text)
