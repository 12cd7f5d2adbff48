"""The command line: `python -m localcluster COMMAND`."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from localcluster import control, launcher, namespaces
from localcluster.addresses import API_URL, OPERATOR_METRICS
from localcluster.client import Cluster
from localcluster.console import say
from localcluster.errors import LocalClusterError
from localcluster.settings import STATE_VARIABLE, Feature, Settings, default_state

_FAILED: Final = 70


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return the exit status."""
    options = _parser().parse_args(arguments)
    action: Callable[[argparse.Namespace], int] = options.action
    try:
        return action(options)
    except LocalClusterError as error:
        say(f"error: {error}")
        return _FAILED


def _up(options: argparse.Namespace) -> int:
    cluster = Cluster(_state(options))
    launcher.up(_settings(options, cluster.state))
    print(f"KUBECONFIG={cluster.kubeconfig}")
    print(f"The API server is {API_URL}, the gateway {cluster.gateway_url}, Prometheus {cluster.prometheus_url}.")
    print("They can be reached from inside only: python -m localcluster exec -- kubectl get nodes")
    print("To stop the cluster: python -m localcluster down")
    return 0


def _run(options: argparse.Namespace) -> int:
    command = _command(options)
    if options.state:
        return launcher.run(_settings(options, _state(options)), command)
    state = launcher.temporary_state()
    status = _FAILED
    try:
        status = launcher.run(_settings(options, state), command)
    finally:
        launcher.discard(state, status)
    return status


def _exec(options: argparse.Namespace) -> int:
    cluster = Cluster(_state(options))
    command = namespaces.enter(control.supervisor_pid(cluster.state), _command(options))
    environment = {name: value for name, value in cluster.environment().items() if not name.lower().endswith("_proxy")}
    os.execvpe(command[0], command, environment)  # noqa: S606 - replaces this process by the user's own command


def _down(options: argparse.Namespace) -> int:
    launcher.down(_state(options))
    return 0


def _status(options: argparse.Namespace) -> int:
    parts = Cluster(_state(options)).parts()
    for name, state in parts.items():
        print(f"{name:20} {state}")
    return 0


def _build(options: argparse.Namespace) -> int:
    state = launcher.temporary_state()
    settings = _settings(options, state)
    try:
        launcher.build(settings)
        for program in sorted(settings.programs.iterdir()):
            print(f"{program.name:24} {program.resolve()}")
    finally:
        launcher.discard(state, 0)
    return 0


def _logs(options: argparse.Namespace) -> int:
    log = Cluster(_state(options)).log(options.name)
    if not log.exists():
        names = ", ".join(sorted(file.stem for file in log.parent.glob("*.log")))
        raise LocalClusterError(f"{log.parent} has no log of {options.name!r}; it has: {names or 'none'}")
    print(log.read_text(encoding="utf-8", errors="replace"), end="")
    return 0


def _part(options: argparse.Namespace) -> int:
    cluster = Cluster(_state(options))
    match options.command_name:
        case "stop":
            cluster.stop(options.name)
        case "start":
            cluster.start(options.name)
        case "restart":
            cluster.restart(options.name)
        case _:
            cluster.signal(options.name, options.signal)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m localcluster", description="A complete Kubernetes cluster of real programs."
    )
    commands = parser.add_subparsers(dest="command_name", required=True)
    for name, action, text in (
        ("up", _up, "start a cluster that keeps running"),
        ("run", _run, "start a fresh cluster, run a command inside, stop the cluster"),
        ("build", _build, "only fetch and build the programs"),
    ):
        _add_settings(_add(commands, name, action, text))
    _add(commands, "down", _down, "stop the running cluster")
    _add(commands, "status", _status, "show which parts are running")
    _add(commands, "exec", _exec, "run a command inside the running cluster")
    _add(commands, "logs", _logs, "print the log of a part").add_argument("name")
    for name, text in (
        ("stop", "stop a part"),
        ("start", "start a stopped part"),
        ("restart", "stop and start a part"),
        ("signal", "send a signal to a part"),
    ):
        _add(commands, name, _part, text).add_argument("name")
    commands.choices["signal"].add_argument("signal", help="such as STOP, CONT, KILL")
    for name in ("run", "exec"):
        commands.choices[name].add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    return parser


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    action: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(action=action)
    parser.add_argument("--state", type=Path, help=f"state folder; default ${STATE_VARIABLE}, else .local/")
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--without",
        default="",
        metavar="FEATURES",
        help=f"comma-separated features to leave out: {', '.join(Feature)}",
    )
    parser.add_argument("--scrape-interval", default="5s", help="scrape interval of Prometheus")
    parser.add_argument(
        "--default-buckets", action="store_true", help="keep Envoy's default histogram bounds, which lack 200 ms"
    )
    parser.add_argument("--audit", action="store_true", help="let the API server write logs/audit.log")
    parser.add_argument(
        "--operator-metrics",
        default=OPERATOR_METRICS,
        metavar="HOST:PORT",
        help="address of the operator's metrics",
    )
    parser.add_argument("--images", type=Path, help="YAML file that maps images to local commands")
    parser.add_argument(
        "--emulate", default="", metavar="1.35", help="minor version of Kubernetes that the control plane behaves like"
    )
    parser.add_argument("--api-server", type=Path, metavar="FILE", help="kube-apiserver of another release")
    parser.add_argument(
        "--api-server-flag",
        action="append",
        default=[],
        metavar="FLAG",
        help="further flag of the API server, such as --api-server-flag=--feature-gates=Name=true; repeatable",
    )


def _settings(options: argparse.Namespace, state: Path) -> Settings:
    names = [name for name in options.without.split(",") if name]
    unknown = [name for name in names if name not in set(Feature)]
    if unknown:
        raise LocalClusterError(f"--without: unknown {', '.join(unknown)}: choose from {', '.join(Feature)}")
    return Settings(
        state=state,
        without=frozenset(Feature(name) for name in names),
        scrape_interval=options.scrape_interval,
        extra_bounds=not options.default_buckets,
        audit=options.audit,
        operator_metrics=options.operator_metrics,
        images=options.images.resolve() if options.images else None,
        emulate=options.emulate,
        api_server=options.api_server.resolve() if options.api_server else None,
        api_server_flags=tuple(options.api_server_flag),
    )


def _state(options: argparse.Namespace) -> Path:
    return options.state.resolve() if options.state else default_state()


def _command(options: argparse.Namespace) -> list[str]:
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise LocalClusterError(
            f"{options.command_name} needs a command: ... {options.command_name} -- kubectl get nodes"
        )
    return list(command)


if __name__ == "__main__":
    sys.exit(main())
