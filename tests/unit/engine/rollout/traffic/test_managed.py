"""A template and a route are compared by meaning: defaults, order and labels of others make no difference."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.parsing import decode, encode
from serinus.api.route_template import HttpRouteTemplate
from serinus.engine.rollout.traffic.managed import RouteShape, ShapePart, differences, shape_of
from serinus.kube.routes import http_route_record

NAMESPACE = "ml"
PARENT = {"name": "public", "namespace": "gateways"}
OWNER = {
    "apiVersion": "serinus.dev/v1alpha1",
    "kind": "Rollout",
    "name": "fraud",
    "uid": "uid-fraud",
    "controller": True,
}


def a_template(**fields: Any) -> HttpRouteTemplate:
    return decode(HttpRouteTemplate, {"parentRefs": [PARENT], **fields}, "template")


def stored(template: HttpRouteTemplate, *, owner: dict[str, Any] | None = None) -> dict[str, Any]:
    """The route of a template as the API server stores it: with everything filled in that its CRD has a default for."""
    raw = encode(template)
    matches = [
        {
            **match,
            "path": {"type": "PathPrefix", "value": "/", **match.get("path", {})},
            **{
                member: [{"type": "Exact", **one} for one in match[member]]
                for member in ("headers", "queryParams")
                if member in match
            },
        }
        for match in raw.get("matches", [{}])
    ]
    parents = [{"group": "gateway.networking.k8s.io", "kind": "Gateway", **parent} for parent in raw["parentRefs"]]
    return {
        "metadata": {
            "name": "fraud",
            "namespace": NAMESPACE,
            "uid": "u",
            "resourceVersion": "7",
            "creationTimestamp": "2026-11-23T14:00:00Z",
            "labels": {**raw.get("labels", {}), "app.kubernetes.io/managed-by": "serinus"},
            "annotations": raw.get("annotations", {}),
            "ownerReferences": [owner or OWNER],
        },
        "spec": {
            "parentRefs": parents,
            **({"hostnames": raw["hostnames"]} if "hostnames" in raw else {}),
            "rules": [{"matches": matches, "backendRefs": [{"name": "x", "port": 80}]}],
        },
    }


def shape(raw: dict[str, Any]) -> RouteShape:
    found = http_route_record(raw).shape
    assert found is not None
    return found


NAMES = st.from_regex(r"[a-z]{1,5}", fullmatch=True)
VALUES = st.lists(
    st.fixed_dictionaries(
        {"name": NAMES, "value": NAMES}, optional={"type": st.sampled_from(["Exact", "RegularExpression"])}
    ),
    max_size=3,
    unique_by=lambda one: one["name"],
)
PATHS = st.fixed_dictionaries(
    {}, optional={"type": st.sampled_from(["Exact", "PathPrefix"]), "value": NAMES.map("/{}".format)}
)
MATCHES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "path": PATHS,
            "headers": VALUES,
            "queryParams": VALUES,
            "method": st.sampled_from(["GET", "POST"]),
        },
    ),
    max_size=4,
)
PARENTS = st.lists(
    st.fixed_dictionaries(
        {"name": NAMES},
        optional={"namespace": NAMES, "sectionName": NAMES, "port": st.integers(1, 65535), "kind": st.just("Gateway")},
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda one: (one["name"], one.get("namespace"), one.get("sectionName"), one.get("port")),
)
TEMPLATES = st.builds(
    a_template,
    parentRefs=PARENTS,
    hostnames=st.lists(NAMES, max_size=3),
    matches=MATCHES,
    labels=st.dictionaries(NAMES, NAMES, max_size=3),
    annotations=st.dictionaries(NAMES, NAMES, max_size=3),
)


@given(TEMPLATES)
def test_a_route_that_was_made_of_a_template_does_not_differ_from_it(template: HttpRouteTemplate) -> None:
    assert differences(shape_of(template, NAMESPACE), shape(stored(template))) == ()


@given(TEMPLATES)
def test_neither_order_nor_labels_of_others_nor_fields_of_later_releases_are_a_difference(
    template: HttpRouteTemplate,
) -> None:
    raw = stored(template)
    raw["metadata"]["labels"]["somebody-elses"] = "x"
    raw["metadata"]["annotations"]["somebody-elses"] = "x"
    raw["spec"]["parentRefs"].reverse()
    raw["spec"].get("hostnames", []).reverse()
    rule = raw["spec"]["rules"][0]
    rule["matches"].reverse()
    rule["timeouts"] = {"request": "5s"}
    rule["matches"][0]["cookies"] = []
    assert differences(shape_of(template, NAMESPACE), shape(raw)) == ()


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"parentRefs": [{**PARENT, "sectionName": "https"}]}, ShapePart.PARENTS),
        ({"parentRefs": [{"name": "public"}]}, ShapePart.PARENTS),
        ({"hostnames": ["a.example"]}, ShapePart.HOSTNAMES),
        ({"matches": [{"method": "POST"}]}, ShapePart.MATCHES),
        ({"matches": [{"headers": [{"name": "x", "value": "1"}]}]}, ShapePart.MATCHES),
        ({"labels": {"team": "payments"}}, ShapePart.LABELS),
        ({"annotations": {"team": "payments"}}, ShapePart.ANNOTATIONS),
    ],
)
def test_every_part_of_a_template_is_compared(changes: dict[str, Any], part: ShapePart) -> None:
    plain, other = a_template(), a_template(**changes)
    assert differences(shape_of(other, NAMESPACE), shape(stored(plain))) == (part,)


def test_a_second_rule_and_a_missing_label_of_the_operator_are_differences() -> None:
    raw = stored(a_template())
    raw["spec"]["rules"].append(raw["spec"]["rules"][0])
    del raw["metadata"]["labels"]["app.kubernetes.io/managed-by"]
    found = differences(shape_of(a_template(), NAMESPACE), shape(raw))
    assert found == (ShapePart.RULES, ShapePart.LABELS)


def test_the_namespace_of_a_parent_may_be_left_out_where_it_is_the_routes_own() -> None:
    template = a_template(parentRefs=[{"name": "public", "namespace": NAMESPACE}])
    assert shape_of(template, NAMESPACE) == shape_of(a_template(parentRefs=[{"name": "public"}]), NAMESPACE)


def test_who_wrote_a_part_is_read_from_the_managed_fields() -> None:
    raw = stored(a_template())
    raw["metadata"]["managedFields"] = [
        {"manager": "serinus", "time": "2026-11-23T14:00:00Z", "fieldsV1": {"f:spec": {"f:rules": {}}}},
        {"manager": "kubectl-edit", "time": "2026-11-23T14:00:05Z", "fieldsV1": {"f:spec": {"f:hostnames": {}}}},
        {"manager": "argocd", "time": "2026-11-23T14:00:09Z", "fieldsV1": {"f:metadata": {"f:labels": {}}}},
    ]
    found = shape(raw)
    assert found.writer_of((ShapePart.HOSTNAMES,)) == "kubectl-edit"
    assert found.writer_of((ShapePart.PARENTS, ShapePart.MATCHES)) == "serinus"
    assert found.writer_of((ShapePart.LABELS,)) == "argocd"
    assert found.writer_of((ShapePart.PARENTS,)) == ""


@pytest.mark.parametrize(
    "owner",
    [
        {**OWNER, "controller": False},
        {**OWNER, "kind": "Model"},
        {**OWNER, "apiVersion": "argoproj.io/v1alpha1"},
    ],
)
def test_a_route_is_ours_only_where_a_rollout_controls_it(owner: dict[str, Any]) -> None:
    record = http_route_record(stored(a_template(), owner=owner))
    assert record.made_for == ""
    ours = http_route_record(stored(a_template()))
    assert ours.made_for == "uid-fraud"
    assert replace(ours, shape=None, made_for="").owner == ""
