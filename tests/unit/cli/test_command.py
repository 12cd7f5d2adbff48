"""How a command runs: its handler, and its exit status when the reader of its output stops early."""

import os
import subprocess
import sys

import click
import pytest

from serinus.cli.command import Params, command
from serinus.cli.context import CliContext
from support.command_lines import commands

ENDLESS = """
import sys
from importlib import import_module
from serinus.cli.command import command
from serinus.cli.output import echo
from serinus.cli.context import CliContext

@command("chatter", dict, "talk", closed_pipe={status})
def chatter(options, context):
    while True:
        echo("one more line")

main = import_module("serinus.cli.main")
main.cli = chatter
sys.exit(main.run([], CliContext()))
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


def _word(params: Params) -> str:
    return str(params["word"])


def test_a_handler_may_be_a_coroutine_function() -> None:
    @command("measure", _word, "measure a word")
    @click.argument("word")
    async def measure(word: str, _: CliContext) -> int:
        return len(word)

    assert measure.main(["four"], "measure", standalone_mode=False, obj=CliContext()) == 4


@command("choose", dict, "choose", exclusive=("a", "b"), needed=("a", "b"))
@click.option("-a")
@click.option("-b")
@click.option("-c")
def choose(_: Params, __: CliContext) -> int:
    return 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-a", "1", "-b", "2"], "'-b' cannot be given together with '-a'."),
        (["-c", "1"], "Missing parameter: '-a' or '-b'."),
    ],
)
def test_parameters_exclude_each_other_and_one_of_them_is_needed(words: list[str], said: str) -> None:
    with pytest.raises(click.UsageError) as refused:
        choose.main(words, "choose", standalone_mode=False)
    assert refused.value.format_message() == said
    assert choose.main(["-a", "1"], "choose", standalone_mode=False) == 0


def test_every_command_is_there_and_says_what_it_does() -> None:
    found = dict(commands())
    assert len(found) > 35
    assert [words for words, one in found.items() if not one.short_help or one.callback is None] == []
