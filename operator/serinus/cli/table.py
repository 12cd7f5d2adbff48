"""Tables that fit a terminal: columns are as wide as their content, and give way in a given order."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, zip_longest

from msgspec import Struct

from serinus.cli.output import printable
from serinus.cli.screen import Line, Span, Style, cells, fit, wrapped


class Column(Struct, frozen=True, kw_only=True):
    """A column of a table.

    Attributes:
        head: its title.
        short: its title where there is no room for the other; empty where it has none.
        keep: of the columns with the lowest number one is left out first where the terminal is narrow; 9 stays.
        right: whether it is aligned to the right.
        least: the columns that it keeps at least when it is shortened; 0 where it is never shortened.
        usual: the columns that count for it where it is chosen what is shown, so that a shorter text changes nothing.
        word: whether only the first word is shown where it is shortened.
        wrap: whether a longer text goes on in the next lines, instead of being cut.
    """

    head: str
    short: str = ""
    keep: int = 9
    right: bool = False
    least: int = 0
    usual: int = 0
    word: bool = False
    wrap: bool = False


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Span]],
    width: int,
    *,
    gaps: Sequence[int] = (2,),
    order: Sequence[tuple[str, int]] = (),
) -> list[Line]:
    """Return a table as lines that fit the width: the columns move together, then they give way.

    ``gaps`` are the numbers of blanks between two columns that may be used, the best one first. ``order`` has what
    gives way, the first first: a title, and the columns to which it is shortened; with 0 it is left out. Without an
    order, columns are shortened to ``least``, then left out by ``keep``.
    """
    texts = [[printable(row[index].text) for row in rows] for index in range(len(columns))]
    natural = [_cells_of(column.head, held) for column, held in zip(columns, texts, strict=True)]
    planned = [max(size, column.usual) for size, column in zip(natural, columns, strict=True)]
    gap = next((one for one in gaps if sum(planned) + one * (len(columns) - 1) <= width), gaps[-1])
    steps = _steps_of(columns, order) if order else _usual_steps(columns, natural)
    shown = _that_fit(planned, steps, width, gap)
    found = {index: (natural[index], _short_form(columns[index], texts[index])) for index in shown}
    sizes = _shortened(found, steps, width, gap)
    chosen = [columns[index] for index in shown]
    head = [Span(_title(column, size), Style.DIM) for column, size in zip(chosen, sizes, strict=True)]
    body = [_lines_of([row[index] for index in shown], chosen, sizes, gap) for row in rows]
    return [_row(head, chosen, sizes, gap), *chain.from_iterable(body)]


def _cells_of(head: str, texts: Iterable[str]) -> int:
    return max([cells(head), *map(cells, texts)])


def _short_form(column: Column, texts: Iterable[str]) -> int:
    """Return the columns that it takes with its short title, and with the first words where they are enough."""
    held = (text.partition(" ")[0] for text in texts) if column.word else texts
    return _cells_of(column.short or column.head, held)


def _title(column: Column, size: int) -> str:
    return column.head if cells(column.head) <= size else column.short or column.head


_Steps = Sequence[tuple[int, int]]
"""What gives way, in order: the place of a column, and its new size; 0 where it is left out."""


def _steps_of(columns: Sequence[Column], order: Sequence[tuple[str, int]]) -> _Steps:
    places = {column.head.strip(): index for index, column in enumerate(columns)}
    return [(places[title], size) for title, size in order if title in places]


def _usual_steps(columns: Sequence[Column], natural: Sequence[int]) -> _Steps:
    places = sorted(range(len(columns)), key=lambda one: (columns[one].keep, -natural[one]))
    shortened = [(place, columns[place].least) for place in places if columns[place].least]
    left_out = [place for place in range(len(columns)) if columns[place].keep != 9]  # noqa: PLR2004
    return [*shortened, *((place, 0) for place in sorted(left_out, key=lambda one: columns[one].keep))]


def _that_fit(planned: Sequence[int], steps: _Steps, width: int, gap: int) -> list[int]:
    sizes = dict(enumerate(planned))
    for index, size in steps:
        if sum(sizes.values()) + gap * (len(sizes) - 1) <= width:
            break
        if not size:
            sizes.pop(index, None)
        elif index in sizes:
            sizes[index] = min(size, sizes[index])
    return list(sizes)


def _shortened(found: Mapping[int, tuple[int, int]], steps: _Steps, width: int, gap: int) -> list[int]:
    """Return the sizes of the columns that are shown, given with their natural size and that of their short form.

    None is ever widened; the short form comes before anything is cut.
    """
    sizes = {index: natural for index, (natural, _) in found.items()}

    def excess() -> int:
        return max(0, sum(sizes.values()) + gap * (len(sizes) - 1) - width)

    for index, least in steps:
        if least and index in sizes and excess():
            sizes[index] = min(sizes[index], found[index][1])
            sizes[index] = max(min(least, sizes[index]), sizes[index] - excess())
    return list(sizes.values())


def _lines_of(spans: Sequence[Span], columns: Sequence[Column], sizes: Sequence[int], gap: int) -> list[Line]:
    """Return a row: one line, or more where a text goes on."""
    texts = [_texts(span, column, size) for span, column, size in zip(spans, columns, sizes, strict=True)]
    return [
        _row([Span(text, span.style) for text, span in zip(line, spans, strict=True)], columns, sizes, gap)
        for line in zip_longest(*texts, fillvalue="")
    ]


def _texts(span: Span, column: Column, size: int) -> list[str]:
    if column.wrap:
        return wrapped(span.text, size)
    return [span.text.partition(" ")[0] if column.word and span.cells > size else span.text]


def _row(spans: Sequence[Span], columns: Sequence[Column], sizes: Sequence[int], gap: int) -> Line:
    line: list[Span] = []
    for place, (span, column, size) in enumerate(zip(spans, columns, sizes, strict=True)):
        text = fit(span.text, size)
        blank = " " * (size - cells(text))
        last = place == len(columns) - 1
        before, after = (blank, "") if column.right else ("", "" if last else blank)
        line += [Span(before), Span(text, span.style), Span(after + ("" if last else " " * gap))]
    return tuple(span for span in line if span.text)
