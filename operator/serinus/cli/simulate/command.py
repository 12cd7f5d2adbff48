"""``serinus simulate``: a plan against synthetic traffic, against a recording, or against a Prometheus."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self

import click

from serinus.api.modelversion import BackendRef
from serinus.cli.backend import parse_backend
from serinus.cli.command import FILE, Params, choice, command, together
from serinus.cli.context import CliContext
from serinus.cli.simulate.amounts import parse_count, parse_length, parse_rate, parse_share
from serinus.cli.simulate.changes import Changes, parse_changes
from serinus.cli.times import parse_time

MOST_RUNS: Final = 100_000
MOST_BURST: Final = 1000
FORMS: Final = ("table", "json", "svg", "html")
_SOURCES: Final = ("rate", "recording", "prometheus")
_DETAILS: Final = (
    "Runs a Rollout's plan with the operator's own engine, without a cluster: many times against synthetic traffic "
    "(--rate), or once against what was recorded (--recording, --prometheus). Tests are taken to pass and approvals to "
    "be given at once."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficOptions:
    """The synthetic traffic; shares are ratios, times in seconds, ``rate`` in requests a second."""

    rate: float
    errors: float
    p95: float
    bursts: int
    client_errors: float
    unanswered: float
    stable_errors: float | None
    stable_p95: float | None
    longest: timedelta | None
    runs: int
    seed: int
    find: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusOptions:
    """Where recorded traffic is in a Prometheus.

    Attributes:
        begin: when the first stage began.
        end: the last time that is read.
        namespace: of the backends; None for that of the manifest.
        stable_backend: None where only the candidate is known.
    """

    url: str
    begin: datetime | timedelta
    end: datetime | timedelta
    namespace: str | None
    candidate_backend: BackendRef
    stable_backend: BackendRef | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateOptions:
    """Options of ``serinus simulate``.

    Attributes:
        rollout: which one of the file; None for the only one.
        stage: the one to begin with; empty for the first one with traffic.
        changes: other plans to try.
        source: synthetic traffic, a recording, or a Prometheus.
        record: the file to write what was recorded to.
    """

    file: Path
    rollout: str | None
    stage: str
    changes: tuple[Changes, ...]
    scrape_interval: timedelta
    form: str
    source: TrafficOptions | Path | PrometheusOptions
    record: Path | None

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed; click.UsageError where one lacks that it needs."""
        return cls(
            file=params["file"],
            rollout=params["rollout"],
            stage=params["stage"],
            changes=tuple(params["changes"]),
            scrape_interval=params["scrape_interval"],
            form=params["form"],
            source=_source(params),
            record=params["record"],
        )


def _source(params: Params) -> TrafficOptions | Path | PrometheusOptions:
    recording: Path | None = params["recording"]
    if recording is not None:
        return recording
    return _prometheus_options(params) if params["prometheus"] is not None else _traffic_options_of(params)


def _prometheus_options(params: Params) -> PrometheusOptions:
    begin, candidate_backend = params["begin"], params["candidate_backend"]
    if begin is None or candidate_backend is None:
        raise click.UsageError("--prometheus needs --from and --candidate-backend, and best --stable-backend as well.")
    return PrometheusOptions(
        url=params["prometheus"],
        begin=begin,
        end=params["end"],
        namespace=params["namespace"],
        candidate_backend=candidate_backend,
        stable_backend=params["stable_backend"],
    )


def _traffic_options_of(params: Params) -> TrafficOptions:
    return TrafficOptions(
        rate=params["rate"],
        errors=params["errors"],
        p95=params["p95"].total_seconds(),
        bursts=params["bursts"],
        client_errors=params["client_errors"],
        unanswered=params["unanswered"],
        stable_errors=params["stable_errors"],
        stable_p95=params["stable_p95"].total_seconds() if params["stable_p95"] is not None else None,
        longest=params["longest"],
        runs=params["runs"],
        seed=params["seed"],
        find=params["find"],
    )


_traffic_options: Final = together(
    click.option("--rate", type=parse_rate, metavar="RATE", help="requests to both versions, such as 10/s"),
    click.option(
        "--errors",
        type=parse_share,
        default="0.1%",
        show_default=True,
        metavar="SHARE",
        help="of the candidate that fail",
    ),
    click.option(
        "--p95", type=parse_length, default="100ms", show_default=True, metavar="TIME", help="of the candidate"
    ),
    click.option(
        "--bursts",
        type=parse_count(1, MOST_BURST),
        default="1",
        show_default=True,
        metavar="NUMBER",
        help="how many bad requests come together",
    ),
    click.option(
        "--client-errors",
        type=parse_share,
        default="0%",
        show_default=True,
        metavar="SHARE",
        help="of the candidate, 4xx",
    ),
    click.option(
        "--unanswered",
        type=parse_share,
        default="0%",
        show_default=True,
        metavar="SHARE",
        help="of the candidate, no answer",
    ),
    click.option(
        "--stable-errors", type=parse_share, metavar="SHARE", help="of the stable version (default: --errors)"
    ),
    click.option("--stable-p95", type=parse_length, metavar="TIME", help="of the stable version (default: --p95)"),
    click.option(
        "--for",
        "longest",
        type=parse_length,
        metavar="TIME",
        help="simulate at most this long (default: twice the plan)",
    ),
    click.option(
        "--runs",
        type=parse_count(1, MOST_RUNS),
        default="1000",
        show_default=True,
        metavar="NUMBER",
        help="number of runs",
    ),
    click.option(
        "--seed",
        type=parse_count(0, 999_999_999),
        default="1",
        show_default=True,
        metavar="NUMBER",
        help="same seed, same result",
    ),
    click.option("--find", is_flag=True, help="search the smallest regression that is found (takes longer)"),
)
"""The options for synthetic traffic."""

_recorded_options: Final = together(
    click.option("--recording", type=FILE, metavar="FILE", help="counts by tick, as --record writes them"),
    click.option("--prometheus", metavar="URL", help="read the counts from this Prometheus"),
    click.option("--from", "begin", type=parse_time, metavar="TIME", help="when the first stage began"),
    click.option("--to", "end", type=parse_time, default="0m", metavar="TIME", help="until when (default: now)"),
    click.option(
        "-n", "--namespace", metavar="NAMESPACE", help="namespace of the backends (default: that of the manifest)"
    ),
    click.option("--candidate-backend", type=parse_backend, metavar="SERVICE:PORT", help="where the candidate served"),
    click.option(
        "--stable-backend", type=parse_backend, metavar="SERVICE:PORT", help="where the stable version served"
    ),
    click.option("--record", type=FILE, metavar="FILE", help="write what was read as a recording"),
)
"""The options for recorded traffic."""


@command(
    "simulate",
    SimulateOptions.from_params,
    "try a plan before it runs",
    details=_DETAILS,
    exclusive=_SOURCES,
    needed=_SOURCES,
)
@click.option("-f", "--file", type=FILE, required=True, metavar="FILE", help="manifest of the Rollout")
@click.option("--rollout", metavar="NAME", help="which Rollout of the file, if there are several")
@click.option(
    "--stage", default="", metavar="NAME", help="the stage to begin with (default: the first one with traffic)"
)
@click.option(
    "--set",
    "changes",
    type=parse_changes,
    multiple=True,
    metavar="CHANGES",
    help="try another plan beside it, repeatable: STAGE.FIELD=VALUE, or FIELD=VALUE for every stage with traffic, "
    "several after semicolons, such as 'abortOn[0]=error_rate > 1%; canary.duration=1h'",
)
@click.option(
    "--scrape-interval",
    type=parse_length,
    default="15s",
    show_default=True,
    metavar="TIME",
    help="how often the metrics are scraped; a recording has its own",
)
@click.option("-o", "--output", "form", type=choice(FORMS), default="table", show_default=True, help="form")
@_traffic_options
@_recorded_options
async def simulate(options: SimulateOptions, context: CliContext) -> int:
    """Run the command."""
    # The engine's numerics take a third of a second to load: other verbs must not wait for them.
    from serinus.cli.simulate.produce import simulate as produce  # noqa: PLC0415

    return await produce(options, context)
