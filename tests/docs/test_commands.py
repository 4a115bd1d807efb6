"""Every `fedcoin-node` command and make target on a page exists, with all its options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from fedcoin.application.cli.root_command import cli
from tests.support.documents import find_code_blocks, find_inline_code, read, read_pages


def find_commands(text: str) -> Iterator[list[str]]:
    """Yield the arguments of each `fedcoin-node` in code blocks and inline code."""
    for code in [*find_code_blocks(text, "sh"), *find_inline_code(text)]:
        for line in re.sub(r"\\\n\s*", " ", code).splitlines():
            without_comment = line.partition(" #")[0]
            nested = re.findall(r"\$\((fedcoin-node [^)]*)\)", without_comment)
            outer = re.sub(r"\$\([^)]*\)", "VALUE", without_comment)
            for command in (*nested, outer):
                for arguments in re.findall(r"fedcoin-node ([^|;&]+)", command):
                    yield shlex.split(arguments.replace("...", ""))


def check_command(arguments: list[str]) -> None:
    """Fail unless the command and each of its options exist."""
    command: click.Command = cli
    context = click.Context(cli)
    rest = list(arguments)
    while rest and isinstance(command, click.Group) and not rest[0].startswith("-"):
        name = rest.pop(0)
        if name.isupper():  # A placeholder, as in `fedcoin-node COMMAND --help`.
            return
        subcommand = command.get_command(context, name.partition("|")[0])
        assert subcommand is not None, f"there is no command {arguments}"
        command = subcommand
    options = {"--help", "-h"}
    for parameter in command.params:
        options |= {*parameter.opts, *parameter.secondary_opts}
    for argument in rest:
        if argument.startswith("--"):
            assert argument.partition("=")[0] in options, f"{argument} in {arguments}"


def test_commands_exist() -> None:
    for text in read_pages().values():
        for arguments in find_commands(text):
            check_command(arguments)


def test_the_check_finds_the_commands_of_the_readme() -> None:
    commands = list(find_commands(read("README.md")))
    assert ["start", "--home", "a", "--mine"] in commands
    assert len(commands) > 12


@pytest.mark.parametrize("arguments", [["start", "--no-such-option"], ["no-such-command"]])
def test_the_check_refuses_what_does_not_exist(arguments: list[str]) -> None:
    with pytest.raises(AssertionError):
        check_command(arguments)


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", read("Makefile"), re.MULTILINE))
    for page, text in read_pages().items():
        code = "\n".join([*find_code_blocks(text, "sh"), *find_inline_code(text)])
        for target in re.findall(r"^make ([a-z][\w-]*)", code, re.MULTILINE):
            assert target in targets, f"{page}: make {target}"
