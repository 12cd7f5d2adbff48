"""On behalf of which model the running task writes: the fence of an operator with several shards asks.

A task that is started inherits it, so that whatever a reconcile starts writes on behalf of the same model. A write for
which no model was named is refused where there are shards.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from serinus.api.names import ObjectKey

UNNAMED: Final = ObjectKey("", "")
"""No model was named."""

INSTALLATION: Final = ObjectKey("*", "*")
"""The installation as a whole: for a request that changes no object, such as a dry run."""

_MODEL: Final = ContextVar("model", default=UNNAMED)


@contextmanager
def acting_for(model: ObjectKey) -> Iterator[None]:
    """Write on behalf of a model within the block."""
    before = _MODEL.set(model)
    try:
        yield
    finally:
        _MODEL.reset(before)


def acted_for() -> ObjectKey:
    """Return the model on whose behalf the running task writes."""
    return _MODEL.get()
