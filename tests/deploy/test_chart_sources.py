"""Each way to reach a metric source, as the chart's values say it and the operator's settings read it."""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from serinus.metrics import PrometheusSource
from serinus.settings import load_settings
from serinus.source_settings import BasicAuthSettings, SourceSettings, TlsSettings
from support.helm import Helm, HelmError, find_helm
from support.release import CHART

_URL: Final = "https://prometheus.example:9090/prefix"
_FOLDER: Final = "/etc/serinus/prometheus"
_TLS: Final = {"caFile": f"{_FOLDER}/ca.crt"}
_MTLS: Final = {**_TLS, "certFile": f"{_FOLDER}/tls.crt", "keyFile": f"{_FOLDER}/tls.key"}
_BASIC: Final = {"username": "serinus", "passwordFile": f"{_FOLDER}/password"}

_WAYS: Final[dict[str, tuple[dict[str, Any], SourceSettings]]] = {
    "tls": ({"tls": _TLS}, SourceSettings(url=_URL, tls=TlsSettings(ca_file=f"{_FOLDER}/ca.crt"))),
    "basic": (
        {"basicAuth": _BASIC},
        SourceSettings(url=_URL, basic_auth=BasicAuthSettings(username="serinus", password_file=f"{_FOLDER}/password")),
    ),
    "bearer": (
        {"bearerTokenFile": f"{_FOLDER}/token", "tls": _TLS},
        SourceSettings(url=_URL, bearer_token_file=f"{_FOLDER}/token", tls=TlsSettings(ca_file=f"{_FOLDER}/ca.crt")),
    ),
    "mtls": (
        {"tls": _MTLS},
        SourceSettings(
            url=_URL,
            tls=TlsSettings(ca_file=f"{_FOLDER}/ca.crt", cert_file=f"{_FOLDER}/tls.crt", key_file=f"{_FOLDER}/tls.key"),
        ),
    ),
}


@pytest.fixture(scope="module")
def helm() -> Helm:
    """Helm, built once if it is not installed."""
    return find_helm()


def _rendered(helm: Helm, folder: Path, sources: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    values = folder / "values.yaml"
    values.write_text(yaml.safe_dump({"config": {"sources": sources}, **more}), encoding="utf-8")
    return helm.template(CHART, f"--values={values}")


def _config(documents: list[dict[str, Any]], folder: Path) -> Path:
    (text,) = (one["data"]["config.yaml"] for one in documents if one["kind"] == "ConfigMap")
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_each_way_reaches_the_operator_as_it_was_written(helm: Helm, tmp_path: Path) -> None:
    written = {name: {"url": _URL, **given} for name, (given, _) in _WAYS.items()}
    settings = load_settings(_config(_rendered(helm, tmp_path, written), tmp_path), {})
    assert settings.sources == {name: expected for name, (_, expected) in _WAYS.items()}
    for name, source in settings.sources.items():
        PrometheusSource(name, source).close()


def test_the_files_are_mounted_as_the_example_of_the_values_says(helm: Helm, tmp_path: Path) -> None:
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    example = text.partition("# -- Metric sources")[2].partition("```yaml")[2].partition("# ```")[0]
    values = yaml.safe_load("\n".join(line.removeprefix("  #").removeprefix(" ") for line in example.splitlines()))
    rendered = _rendered(
        helm, tmp_path, values["config"]["sources"], **{k: values[k] for k in ("volumes", "volumeMounts")}
    )
    (source,) = load_settings(_config(rendered, tmp_path), {}).sources.values()
    assert source.tls is not None
    (pod,) = (one["spec"]["template"]["spec"] for one in rendered if one["kind"] == "Deployment")
    mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    files = [source.bearer_token_file, source.tls.ca_file, source.tls.cert_file, source.tls.key_file]
    assert {str(Path(file or "").parent) for file in files} == {_FOLDER}
    (volume,) = (one for one in pod["volumes"] if one["name"] == mounts[_FOLDER])
    assert "secret" in volume


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"basicAuth": {"username": "serinus"}}, "/config/sources/default/basicAuth"),
        ({"basicAuth": {**_BASIC, "username": "a:b"}}, "/config/sources/default/basicAuth/username"),
        ({"basicAuth": {**_BASIC, "password": "hunter2"}}, "/config/sources/default/basicAuth"),
        ({"basicAuth": _BASIC, "bearerTokenFile": "/token"}, "/config/sources/default"),
        ({"tls": {"certFile": "/tls.crt"}}, "/config/sources/default/tls"),
        ({"tls": {"caFile": "ca.crt"}}, "/config/sources/default/tls/caFile"),
        ({"tls": {"insecureSkipVerify": True}}, "/config/sources/default/tls"),
    ],
)
def test_what_cannot_work_is_refused_naming_its_path(
    helm: Helm, tmp_path: Path, given: dict[str, Any], path: str
) -> None:
    with pytest.raises(HelmError) as refusal:
        _rendered(helm, tmp_path, {"default": {"url": _URL, **given}})
    assert f"at '{path}'" in str(refusal.value)
