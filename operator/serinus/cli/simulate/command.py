"""``serinus simulate``: a plan against synthetic traffic, against a recording, or against a Prometheus."""

import argparse
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self

from serinus.cli.command import Subparsers, set_handler
from serinus.cli.context import CliContext
from serinus.cli.simulate.amounts import parse_count, parse_length, parse_rate, parse_share
from serinus.cli.times import parse_time

MOST_RUNS: Final = 100_000
MOST_BURST: Final = 1000
FORMS: Final = ("table", "json", "svg", "html")
_DESCRIPTION: Final = (
    "Runs a Rollout's plan with the operator's own engine, without a cluster: many times against synthetic traffic "
    "(--rate), or once against what was recorded (--recording, --prometheus). Tests are taken to pass and approvals to "
    "be given at once."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficOptions:
    """The synthetic traffic; shares are ratios, times in seconds, ``rate`` in requests a second."""

    rate: float | None
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
class RecordedOptions:
    """Where recorded traffic is."""

    recording: Path | None
    prometheus: str | None
    begin: datetime | timedelta | None
    end: datetime | timedelta
    namespace: str
    candidate_backend: str | None
    stable_backend: str | None
    record: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateOptions:
    """Options of ``serinus simulate``."""

    file: Path
    rollout: str | None
    stage: str
    changes: tuple[str, ...]
    scrape_interval: timedelta
    form: str
    traffic: TrafficOptions
    recorded: RecordedOptions

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed."""
        traffic = TrafficOptions(
            rate=args.rate,
            errors=args.errors,
            p95=args.p95.total_seconds(),
            bursts=args.bursts,
            client_errors=args.client_errors,
            unanswered=args.unanswered,
            stable_errors=args.stable_errors,
            stable_p95=args.stable_p95.total_seconds() if args.stable_p95 is not None else None,
            longest=args.longest,
            runs=args.runs,
            seed=args.seed,
            find=args.find,
        )
        recorded = RecordedOptions(
            recording=args.recording,
            prometheus=args.prometheus,
            begin=args.begin,
            end=args.end,
            namespace=args.namespace,
            candidate_backend=args.candidate_backend,
            stable_backend=args.stable_backend,
            record=args.record,
        )
        return cls(
            file=args.file,
            rollout=args.rollout,
            stage=args.stage,
            changes=tuple(args.changes),
            scrape_interval=args.scrape_interval,
            form=args.form,
            traffic=traffic,
            recorded=recorded,
        )


def add_parser(verbs: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("simulate", help="try a plan before it runs", description=_DESCRIPTION)
    parser.add_argument("-f", "--file", type=Path, required=True, metavar="FILE", help="manifest of the Rollout")
    parser.add_argument("--rollout", metavar="NAME", help="which Rollout of the file, if there are several")
    parser.add_argument(
        "--stage", default="", metavar="NAME", help="the stage to begin with (default: the first one with traffic)"
    )
    parser.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="CHANGES",
        help="try another plan beside it, repeatable: STAGE.FIELD=VALUE, or FIELD=VALUE for every stage with traffic, "
        "several after semicolons, such as 'abortOn[0]=error_rate > 1%%; canary.duration=1h'",
    )
    parser.add_argument(
        "--scrape-interval",
        type=parse_length,
        default=timedelta(seconds=15),
        metavar="TIME",
        help="how often the metrics are scraped (default: 15s; a recording has its own)",
    )
    parser.add_argument("-o", "--output", dest="form", choices=FORMS, default="table", help="form (default: table)")
    _add_traffic(parser.add_argument_group("synthetic traffic"))
    _add_recorded(parser.add_argument_group("recorded traffic"))
    set_handler(parser, SimulateOptions.from_args, _simulate)


def _add_traffic(group: argparse._ArgumentGroup) -> None:
    share, time = parse_share, parse_length
    group.add_argument("--rate", type=parse_rate, metavar="RATE", help="requests to both versions, such as 10/s")
    group.add_argument(
        "--errors", type=share, default=0.001, metavar="SHARE", help="of the candidate that fail (default: 0.1%%)"
    )
    group.add_argument(
        "--p95", type=time, default=timedelta(seconds=0.1), metavar="TIME", help="of the candidate (default: 100ms)"
    )
    group.add_argument(
        "--bursts",
        type=parse_count(1, MOST_BURST),
        default=1,
        metavar="NUMBER",
        help="how many bad requests come together (default: 1)",
    )
    group.add_argument(
        "--client-errors", type=share, default=0.0, metavar="SHARE", help="of the candidate, 4xx (default: 0%%)"
    )
    group.add_argument(
        "--unanswered", type=share, default=0.0, metavar="SHARE", help="of the candidate, no answer (default: 0%%)"
    )
    group.add_argument("--stable-errors", type=share, metavar="SHARE", help="of the stable version (default: --errors)")
    group.add_argument("--stable-p95", type=time, metavar="TIME", help="of the stable version (default: --p95)")
    group.add_argument(
        "--for", dest="longest", type=time, metavar="TIME", help="simulate at most this long (default: twice the plan)"
    )
    group.add_argument(
        "--runs", type=parse_count(1, MOST_RUNS), default=1000, metavar="NUMBER", help="number of runs (default: 1000)"
    )
    group.add_argument(
        "--seed",
        type=parse_count(0, 999_999_999),
        default=1,
        metavar="NUMBER",
        help="same seed, same result (default: 1)",
    )
    group.add_argument(
        "--find", action="store_true", help="search the smallest regression that is found (takes longer)"
    )


def _add_recorded(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--recording", type=Path, metavar="FILE", help="counts by tick, as --record writes them")
    group.add_argument("--prometheus", metavar="URL", help="read the counts from this Prometheus")
    group.add_argument("--from", dest="begin", type=parse_time, metavar="TIME", help="when the first stage began")
    group.add_argument(
        "--to", dest="end", type=parse_time, default=timedelta(0), metavar="TIME", help="until when (default: now)"
    )
    group.add_argument("-n", "--namespace", default="default", help="namespace of the backends (default: default)")
    group.add_argument("--candidate-backend", metavar="SERVICE:PORT", help="where the candidate served")
    group.add_argument("--stable-backend", metavar="SERVICE:PORT", help="where the stable version served")
    group.add_argument("--record", type=Path, metavar="FILE", help="write what was read as a recording")


async def _simulate(options: SimulateOptions, context: CliContext) -> int:
    # The engine's numerics take a third of a second to load: other verbs must not wait for them.
    from serinus.cli.simulate.produce import simulate  # noqa: PLC0415

    return await simulate(options, context)
