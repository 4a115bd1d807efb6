"""The root of all commands, and how every failure ends."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

import click

from fedcoin import __version__
from fedcoin.application.cli.failures import Failure, explain

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Run": {
        "init": ("init:init", "Make a home folder, with a new network or for an existing one."),
        "start": ("start:start", "Run a node: the chain, its services, mining, coordinating."),
        "devnet": ("devnet:devnet", "Run a whole network on this machine and see it pay."),
    },
    "Look": {
        "status": ("query:status", "Show a node: height, peers, memory, supply."),
        "peers": ("query:peers", "Show whom a node is connected to."),
        "validators": ("query:validators", "Show who decides the next block."),
        "account": ("query:account", "Show an address: balance, bond, nonce."),
        "block": ("query:block", "Show a block, or the latest ones."),
        "tx": ("query:tx", "Show where a transaction stands."),
        "verify": ("verify:verify", "Check the stored chain from its first block, offline."),
        "snapshot": ("snapshot:snapshot", "Make, check and begin from snapshots of the state."),
        "version": ("version:version", "Show what this program is."),
    },
    "Pay": {
        "send": ("pay:send", "Send coins to one or many."),
        "bond": ("pay:bond", "Lock coins and become a miner."),
        "unbond": ("pay:unbond", "Take coins out of the bond."),
        "keys": ("keys:keys", "Make and show keys."),
    },
    "Train": {
        "train": ("train:train", "Serve or join the training of a model."),
        "task": ("task:task", "Follow Shapley tasks, or publish one."),
        "shapley": ("shapley:shapley", "Value clients' weights in files, without a chain."),
    },
}


class LazyGroup(click.Group):
    """Commands that are imported when they are called; help needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the help."""
        return [name for section in SECTIONS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports one."""
        for section in SECTIONS.values():
            if cmd_name in section:
                module, _, name = section[cmd_name][0].partition(":")
                found = importlib.import_module(f"fedcoin.application.cli.{module}")
                command: click.Command = getattr(found, name)
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One list a section."""
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, about) for name, (_, about) in section.items()])


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExample:\n  fedcoin-node devnet          a network on this machine, in a minute\n"
    "  fedcoin-node COMMAND --help  more about one command",
)
@click.version_option(__version__, prog_name="fedcoin-node")
def cli() -> None:
    """A peer-to-peer payment system for federated learning.

    Organisations train a model together; miners compute what each one's update was worth, prove
    it and agree on it; the block that records it pays.
    """


def run(
    arguments: Sequence[str] | None = None,
    command: click.Command = cli,
    program: str = "fedcoin-node",
) -> int:
    """Carry out a command; explain a failure on standard error.

    Args:
        arguments: The command line without the program's name; None takes that of the process.
        command: The command or group that reads the arguments.
        program: The program's name in help and usage texts.

    Returns:
        The exit code for the shell: 0 done, 1 failed, 2 wrong usage.
    """
    try:
        result = command.main(
            args=list(arguments) if arguments is not None else None,
            prog_name=program,
            standalone_mode=False,
        )
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return 1
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("FEDCOIN_DEBUG"):
            raise
        failure = explain(error)
        for line in sentences(failure):
            click.echo(line, err=True)
        return failure.exit_code
    return result if isinstance(result, int) else 0


def sentences(failure: Failure) -> Iterable[str]:
    """What to tell a person."""
    yield f"Error: {failure.sentence} [{failure.code}]"
    if failure.unexpected:
        yield "This is a bug. FEDCOIN_DEBUG=1 shows where it happened."


def main() -> NoReturn:
    """``fedcoin-node``."""
    # This program spawns and never forks; gRPC would say at each start of a child that it
    # cannot follow. It reads this when it is imported.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    sys.exit(run())
