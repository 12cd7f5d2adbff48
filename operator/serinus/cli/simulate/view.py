"""What a simulation shows: rows of a table, remarks and charts, whatever they are rendered as."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Series:
    """A line of a chart: its points from left to right."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment on the horizontal axis."""

    x: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart over the minutes since the first stage began.

    Attributes:
        title: what it shows.
        unit: of the vertical axis.
        series: its lines.
        limit: a horizontal line with its label; None without one.
        marks: moments.
        logarithmic: whether the vertical axis is.
        top: the highest value of the axis; None for what the points need.
    """

    title: str
    unit: str
    series: tuple[Series, ...]
    limit: tuple[float, str] | None = None
    marks: tuple[Mark, ...] = ()
    logarithmic: bool = False
    top: float | None = None

    @property
    def minutes(self) -> float:
        """The right end of the horizontal axis."""
        ends = [x for one in self.series for x, _ in one.points] + [mark.x for mark in self.marks]
        return max(ends, default=1.0) or 1.0

    @property
    def bounds(self) -> tuple[float, float]:
        """The lower and the upper end of the vertical axis."""
        values = [y for one in self.series for _, y in one.points]
        values += [self.limit[0]] if self.limit is not None else []
        highest = self.top if self.top is not None else 1.1 * max(values, default=1.0)
        if not self.logarithmic:
            return 0.0, highest or 1.0
        lowest = min((value for value in values if value > 0), default=0.1)
        return max(1e-3, lowest / 1.5), max(highest, 10 * max(1e-3, lowest / 1.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A simulation as people see it.

    Attributes:
        title: one line.
        lead: sentences under it.
        columns: the heads of the table after its first column.
        rows: each with its name and a cell for each column.
        remarks: sentences below.
        charts: in order.
    """

    title: str
    lead: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    remarks: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
