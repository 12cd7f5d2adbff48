# ruff: noqa: INP001 - a script, in no package
"""Prints docs/reference/state-diagram.md from the transition tables: ``python tools/generate_state_diagram.py``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "operator"))

from serinus.engine.rollout.modes import MODES, STAGE_STATES, Idle, Mode

_HEAD = """# States of a Rollout

Generated from `MODES` and `STAGE_STATES` in `operator/serinus/engine/rollout/modes.py` by
`tools/generate_state_diagram.py`: change the tables, not this page. `make check` compares the two.

## Modes

The mode is derived from the status and decides everything else; `status.phase` is derived from it.
"""

_STATES = """## Within a stage of a run

After `Done` comes the next stage's `Preparing`, or the end of the run. A decision may take several steps at once.
"""


def page() -> str:
    """Return the whole page."""
    modes = [(mode.__name__, after.__name__) for mode, following in MODES.items() for after in _sorted(following)]
    states = [
        (state.value, after.value)
        for state, following in STAGE_STATES.items()
        for after in sorted(following, key=list(STAGE_STATES).index)
    ]
    first = next(iter(STAGE_STATES)).value
    return "\n".join([_HEAD, _table(MODES), _diagram(Idle.__name__, modes), _STATES, _diagram(first, states)])


def _sorted(modes: frozenset[type[Mode]]) -> list[type[Mode]]:
    """Return the modes in the order of the table."""
    return sorted(modes, key=list(MODES).index)


def _table(modes: dict[type[Mode], frozenset[type[Mode]]]) -> str:
    rows = [f"| `{mode.__name__}` | {_first_line(mode)} |" for mode in modes]
    return "\n".join(["| Mode | Meaning |", "|---|---|", *rows, ""])


def _first_line(mode: type[Mode]) -> str:
    return (mode.__doc__ or "").strip().splitlines()[0]


def _diagram(start: str, arrows: list[tuple[str, str]]) -> str:
    lines = ["```mermaid", "stateDiagram-v2", f"  [*] --> {start}", *(f"  {a} --> {b}" for a, b in arrows), "```", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page())
