"""How a command runs: its handler, and its exit status when the reader of its output stops early."""

import argparse
import os
import subprocess
import sys

import pytest

from serinus.cli.command import run_command, set_handler
from serinus.cli.context import CliContext
from serinus.cli.main import build_parser

ENDLESS = """
import argparse, sys
from serinus.cli.command import set_handler
from serinus.cli.main import run_parsed
from serinus.cli.output import echo
from serinus.cli.context import CliContext

def chatter(options, context):
    while True:
        echo("one more line")

parser = argparse.ArgumentParser()
set_handler(parser, vars, chatter, closed_pipe={status})
sys.exit(run_parsed(parser.parse_args([]), CliContext()))
"""


@pytest.mark.parametrize(("status", "expected"), [("0", 0), ("3", 3), ("None", 1)])
def test_a_reader_that_leaves_early_ends_the_command_with_the_status_for_it(status: str, expected: int) -> None:
    program = [sys.executable, "-c", ENDLESS.format(status=status)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "one more line\n"
        process.stdout.close()
        complaint = process.stderr.read()
    assert process.returncode == expected
    closed = "serinus: standard output was closed before the result was complete\n"
    assert complaint == (closed if status == "None" else "")


def test_a_handler_may_be_a_coroutine_function() -> None:
    async def run(options: str, _: CliContext) -> int:
        return len(options)

    parser = argparse.ArgumentParser()
    parser.add_argument("word")
    set_handler(parser, lambda args: str(args.word), run)
    assert run_command(parser.parse_args(["four"]), CliContext()) == 4


def commands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [leaf for group in groups for child in group.choices.values() for leaf in commands(child)] or [parser]


def test_every_command_has_a_handler() -> None:
    found = commands(build_parser())
    assert len(found) > 20
    assert [parser.prog for parser in found if not callable(parser.get_default("run"))] == []
