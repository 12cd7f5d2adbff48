"""`python -m demo run`: the demo in a local cluster; `llm`: that of a language model; `cluster`: in one of yours."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from demo import director, given
from demo.errors import DemoError
from demo.given import options as given_options
from demo.given import play as given_play
from demo.llm import play as llm
from demo.local.stage import Setting, ready_scene
from demo.stagehand import fresh_folder
from demo.terminal import Terminal
from demo.traffic.load import MAX_PER_SECOND
from localcluster.client import Cluster
from localcluster.errors import LocalClusterError
from localcluster.settings import CHECKOUT

_FAILED: Final = 70
_RATE: Final = 500.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == given.COMMAND:
            return given_play.run(given_options.Options.of(options), Terminal())
        setting = Setting(Cluster.current(), fresh_folder(options.folder.resolve()), options.rate)
        if options.command == "llm":
            return int(not asyncio.run(llm.play(setting, Terminal())))
        terminal = Terminal()
        return director.run(setting.demo, ready_scene(setting, terminal), terminal)
    except KeyboardInterrupt:
        return director.INTERRUPTED
    except (DemoError, LocalClusterError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return _FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Watch Serinus promote a good version and roll two bad ones back.",
        epilog="Run it inside a local cluster: python -m localcluster run --scrape-interval 1s -- python -m demo run",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, rate, about in (("run", _RATE, "play the demo"), ("llm", llm.RATE, "play that of a language model")):
        one = commands.add_parser(name, help=about)
        one.add_argument("--folder", type=Path, default=CHECKOUT / ".demo", help="folder for result.json and the logs")
        one.add_argument("--rate", type=_rate, default=rate, help=f"requests per second; default {rate:g}")
    given_options.add(commands.add_parser(given.COMMAND, help="play the demo in a cluster that a kubeconfig names"))
    return parser


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= MAX_PER_SECOND:
        raise argparse.ArgumentTypeError(f"give more than 0 and at most {MAX_PER_SECOND:g} requests per second")
    return rate


if __name__ == "__main__":
    sys.exit(main())
