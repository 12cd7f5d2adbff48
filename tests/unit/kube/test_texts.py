"""One copy of each text in a list."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from serinus.kube.texts import SharedTexts

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON))
def test_an_object_stays_what_it_is(raw: dict[str, Any]) -> None:
    before = repr(raw)
    SharedTexts().in_object(raw)
    assert repr(raw) == before


def test_equal_texts_of_two_objects_are_one() -> None:
    texts = SharedTexts()
    objects: list[dict[str, Any]] = [{"status": {"conditions": [{"reason": str(b"Ready", "ascii")}]}} for _ in range(2)]
    for each in objects:
        texts.in_object(each)
    first, second = (each["status"]["conditions"][0]["reason"] for each in objects)
    assert first is second


def test_long_texts_are_not_remembered() -> None:
    texts = SharedTexts()
    objects: list[dict[str, Any]] = [{"metadata": {"annotations": {"a": "x" * 300}}} for _ in range(2)]
    for each in objects:
        texts.in_object(each)
    assert not texts._known
