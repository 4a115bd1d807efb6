"""The root command, and the handling of every failure."""

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
        "peers": ("query:peers", "Show the peers of a node."),
        "validators": ("query:validators", "Show the validators of the next block."),
        "account": ("query:account", "Show an address: balance, bond, nonce."),
        "block": ("query:block", "Show a block, or the latest ones."),
        "tx": ("query:tx", "Show a transaction and its status."),
        "verify": ("verify:verify", "Check the stored chain from its first block, offline."),
        "snapshot": ("snapshot:snapshot", "Make, check and restore snapshots of the state."),
        "version": ("version:version", "Show the versions of this program and its libraries."),
    },
    "Pay": {
        "send": ("pay:send", "Send coins to one or more addresses."),
        "bond": ("pay:bond", "Lock coins and become a miner."),
        "unbond": ("pay:unbond", "Take coins out of the bond."),
        "keys": ("keys:keys", "Make and show keys."),
    },
    "Train": {
        "train": ("train:train", "Serve or join the training of a model."),
        "task": ("task:task", "Follow Shapley tasks, or publish one."),
        "shapley": (
            "shapley:shapley",
            "Compute the Shapley values of weights in files, without a chain.",
        ),
    },
}


class _LazyGroup(click.Group):
    """A group that imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        # In the order of the help.
        return [name for section in SECTIONS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for section in SECTIONS.values():
            if cmd_name in section:
                module, _, name = section[cmd_name][0].partition(":")
                found = importlib.import_module(f"fedcoin.application.cli.{module}")
                command: click.Command = getattr(found, name)
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, about) for name, (_, about) in section.items()])


@click.command(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExample:\n  fedcoin-node devnet          run a network on this machine\n"
    "  fedcoin-node COMMAND --help  more about one command",
)
@click.version_option(__version__, prog_name="fedcoin-node")
def cli() -> None:
    """A peer-to-peer payment system for federated learning.

    Organisations train a model together. Miners compute the Shapley value of each one's update,
    prove it and agree on it. The block that records the values pays everyone.
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
        # The reader of our output has gone. Without this, Python prints an error while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("FEDCOIN_DEBUG"):
            raise
        failure = explain(error)
        for line in _sentences(failure):
            click.echo(line, err=True)
        return failure.exit_code
    return result if isinstance(result, int) else 0


def _sentences(failure: Failure) -> Iterable[str]:
    yield f"Error: {failure.sentence} [{failure.code}]"
    if failure.unexpected:
        yield "This is a bug. FEDCOIN_DEBUG=1 shows where it happened."


def main() -> NoReturn:
    """Run `fedcoin-node` and exit."""
    # gRPC reads this when it is imported. This program starts children without forking; with fork
    # support, gRPC would log a warning at the start of each child.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    sys.exit(run())
