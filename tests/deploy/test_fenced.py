"""Every fenced command and manifest of README and docs is one that the programs take.

CONTRIBUTING.md and :mod:`support.fenced.manifests` say how a block is marked that is only a part of a manifest.
"""

from pathlib import Path
from typing import Final

import pytest

from support.fenced.blocks import Block, UnreadableCommandError, blocks_of, commands_of
from support.fenced.commands import ROOT, problems_of
from support.fenced.manifests import manifest_problems

PAGES: Final = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples/README.md"] + [
    page for folder in ("docs", "deploy") for page in sorted((ROOT / folder).rglob("*.md"))
]
BLOCKS: Final = [block for page in PAGES for block in blocks_of(page, ROOT)]
COMMANDS: Final = [command for block in BLOCKS for command in commands_of(block)]
MANIFESTS: Final = [block for block in BLOCKS if block.language == "yaml"]


def _made_up(tmp_path: Path, language: str, text: str) -> Block:
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n```{language}\n{text}\n```\n", encoding="utf-8")
    (block,) = blocks_of(page, tmp_path)
    return block


def test_there_are_commands_and_manifests_to_check() -> None:
    programs = [command.words[0] for command in COMMANDS]
    assert programs.count("serinus") > 40
    assert min(programs.count(program) for program in ("kubectl", "helm", "make", "python")) > 1
    assert len(MANIFESTS) > 15


def test_every_command_is_one_that_its_program_takes() -> None:
    assert [problem for command in COMMANDS for problem in problems_of(command)] == []


def test_every_manifest_is_one_that_lint_finds_nothing_in(tmp_path: Path) -> None:
    assert [problem for block in MANIFESTS for problem in manifest_problems(block, tmp_path)] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("serinus statsu fraud-detector", "No such command 'statsu'. Did you mean 'status'?"),
        ("kubectl serinus abort fraud-detector --becuase INC-1", "No such option '--becuase'"),
        ("cat plan.yaml | serinus lint -f - -o html > out.txt", "'html' is not one of"),
        ("NO_COLOR=1 ssh bastion serinus web --prot 9000", "No such option '--prot'"),
        ("serinus registry get MODEL VERSION && make demmo", "the Makefile has no target demmo"),
        ("make soak SEEED=2", "the Makefile has no variable SEEED"),
        ("python -m localclusters up", "no such module"),
        ("python -m localcluster exec -- kubectl get mro,mvs -n demo", "there is no kind mvs"),
        ("kubectl describe rollouts.argoproj.io a", "there is no kind rollouts.argoproj.io"),
        ("kubectl apply -f examples/quickstrat/", "examples/quickstrat/ is not in the repository"),
        ("kubectl annotate ns ml serinus.dev/frezee=INC-1", "serinus.dev/frezee is neither"),
        ("kubectl annotate mro a \\\n  serinus.dev/resum-", "serinus.dev/resum is neither"),
        ("helm upgrade serinus deploy/helm/serinus --set replicas=2,shard=4", "has no such value"),
        ("helm upgrade serinus deploy/helm/serinus --set-string=config.registry.kinds=DynamoDB", "has no such value"),
        ("helm upgrade serinus deploy/helm/serinus -f deploy/values.yaml", "deploy/values.yaml is not in"),
    ],
)
@pytest.mark.parametrize("language", ["sh", "console"])
def test_a_wrong_command_would_be_found(tmp_path: Path, language: str, text: str, said: str) -> None:
    (prompt, output) = ("$ ", "\n3 rows, and --no option") if language == "console" else ("", "")
    block = _made_up(tmp_path, language, f"{prompt}{text}{output}")
    (problem,) = [problem for command in commands_of(block) for problem in problems_of(command)]
    assert problem.startswith("page.md:4: ")
    assert said in problem


def test_a_command_without_an_end_would_be_found(tmp_path: Path) -> None:
    block = _made_up(tmp_path, "sh", "serinus list\nserinus pause NAME --reason 'INC-1\n")
    with pytest.raises(UnreadableCommandError, match=r"page\.md:5: No closing quotation"):
        list(commands_of(block))


_WRITTEN: Final = r"""$ A='b c' serinus pause NAME --reason 'a; b' 2>&1 > out.txt     # not a word
serinus is only printed here
$ kubectl get mro -o json | jq '.items[] |
    .metadata.name' && helm template deploy/helm/serinus \
    --set 'namespaces={a,b},config.sources.my\.own.url=http://a'"""


def test_quotations_redirections_comments_and_output_are_read_as_a_shell_reads_them(tmp_path: Path) -> None:
    block = _made_up(tmp_path, "console", _WRITTEN)
    assert [(command.place, command.words) for command in commands_of(block)] == [
        ("page.md:4", ["serinus", "pause", "NAME", "--reason", "a; b"]),
        ("page.md:6", ["kubectl", "get", "mro", "-o", "json"]),
        ("page.md:6", ["jq", ".items[] |\n    .metadata.name"]),
        (
            "page.md:6",
            [
                "helm",
                "template",
                "deploy/helm/serinus",
                "--set",
                "namespaces={a,b},config.sources.my\\.own.url=http://a",
            ],
        ),
    ]


_PLAN: Final = """apiVersion: serinus.dev/v1alpha1
kind: Rollout
metadata: {name: fraud}
spec:
  model: fraud
  version: 2.3.1
  route: {httpRoute: {name: fraud}}
  stages:
  - {name: production, traffic: 100%, bake: 30m, abortOn: ["error_rate > 0.5%"]}"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (_PLAN.replace("abortOn", "abort_on"), 'unknown field "spec.stages[0].abort_on"'),
        (_PLAN.replace("100%", "100"), "write 100%"),
        (_PLAN.replace("v1alpha1", "v1"), "no matches for kind"),
        ("stages: []", "no apiVersion"),
        ("# excerpt of a Rollout, spec\nstagse: []", 'unknown field "spec.stagse"'),
        ("# excerpt of a Rollout\nspec: {version: fraud-detector-v2.3.1}", "write 2.3.1"),
        ("# excerpt of a Model\nspec: {approvals: {foureyes: true}}", 'unknown field "spec.approvals.foureyes"'),
        ("# excerpt of a ModelVersion, spec.artifact\ndigest: md5:00", "spec.artifact.digest"),
        ("# excerpt of the configuration\nsources: {default: {adress: http://a}}", "adress"),
        ("# values of the chart, for prod\nreplica: 3", "has no value replica"),
        ("# values of the chart\nconfig: {sources: {a: {queries: {drift: {promql: max(drift)}}}}}", "drift"),
        (
            "# excerpt of the configuration\nsources: {a: {url: http://a, queries: {success_rate: {promql: a}}}}",
            "success",
        ),
        ("# values of the chart\nconfig: {notifications: {receivers: [{nmae: a}]}}", "receivers[0].nmae"),
        ("a: b: c", "not YAML"),
    ],
)
def test_a_wrong_manifest_would_be_found(tmp_path: Path, text: str, said: str) -> None:
    (problem, *_) = manifest_problems(_made_up(tmp_path, "yaml", text), tmp_path)
    assert problem.startswith("page.md:4: ")
    assert said in problem


@pytest.mark.parametrize("text", [_PLAN, "# excerpt of a pipeline\non: push", "apiVersion: v1\nkind: Service"])
def test_a_right_manifest_is_taken(tmp_path: Path, text: str) -> None:
    assert manifest_problems(_made_up(tmp_path, "yaml", text), tmp_path) == []
