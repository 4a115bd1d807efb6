"""The root command: which commands there are, and where each one is."""

from __future__ import annotations

import difflib
import importlib

import click

from fedcoin import __version__

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Run": {
        "init": (
            "nodes.init",
            "Make a home folder, with a new network or for an existing one.",
        ),
        "genesis": (
            "nodes.genesis_export",
            "Write the genesis with which a network starts again.",
        ),
        "start": (
            "nodes.start",
            "Run a node: the chain, its services, mining, coordinating.",
        ),
        "signer": ("nodes.signer", "Hold a validator's key apart from its node, and sign for it."),
        "drain": ("nodes.drain", "Finish what a miner has committed to, then stop its node."),
        "health": ("nodes.health_check", "Ask whether a node serves: exit code 0 or 1."),
        "doctor": ("nodes.doctor", "Look for what keeps a node from its work."),
        "artifacts": ("nodes.artifacts", "List, delete and fetch models, weights and data."),
        "token": ("nodes.token", "Make and revoke tokens for a node's API."),
        "tls": ("nodes.tls", "Make, show and renew the certificates of a consortium."),
        "devnet": ("nodes.devnet", "Run a whole network on this machine and see it pay."),
    },
    "Look": {
        "explorer": ("queries.explorer", "Serve pages that show a chain to a browser."),
        "status": ("queries.status", "Show a node: height, peers, memory, supply."),
        "peers": ("queries.peers", "Show the peers of a node."),
        "validators": ("queries.validators", "Show the validators of the next block."),
        "fees": ("queries.fees", "Show the lowest fees, and the fee that is enough now."),
        "account": ("queries.account", "Show an address: balance, bond, nonce."),
        "block": ("queries.block", "Show a block, or the latest ones."),
        "tx": ("queries.tx", "Show a transaction and its status."),
        "verify": (
            "queries.verify",
            "Check the stored chain from its first block, offline.",
        ),
        "snapshot": (
            "queries.snapshot",
            "Make, check and restore snapshots of the state.",
        ),
        "api": ("queries.api", "Write the descriptors from which other languages make stubs."),
        "top": ("queries.top", "Watch a node, its peers, campaigns and rounds."),
        "completion": ("queries.completion", "Print the script of a shell's completion."),
        "version": (
            "queries.version",
            "Show the versions of this program and its libraries.",
        ),
    },
    "Pay": {
        "send": ("payments.send", "Send coins to one or more addresses."),
        "bond": ("payments.bond", "Lock coins and become a miner."),
        "unbond": ("payments.bond", "Take coins out of the bond."),
        "keys": ("payments.keys", "Make and show keys, and accounts of several keys."),
        "transaction": (
            "payments.transaction",
            "Sign what several keys must sign, on several machines.",
        ),
    },
    "Train": {
        "train": ("training.train.train", "Serve or join the training of a model."),
        "task": ("training.task.task", "Follow Shapley tasks, or publish one."),
        "campaign": (
            "training.campaign_export",
            "Write a whole campaign to a file, for an auditor.",
        ),
        "shapley": (
            "training.shapley",
            "Compute the Shapley values of weights in files, without a chain.",
        ),
        "convert": ("training.convert", "Convert files of weights or data."),
    },
}
"""The sections of the help. For each command: the module that holds it under its own name, and what
it is for."""


class _LazyGroup(click.Group):
    """A group that imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        # In the order of the help.
        return [name for section in SECTIONS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for section in SECTIONS.values():
            if cmd_name in section:
                module, _ = section[cmd_name]
                found = importlib.import_module(f"fedcoin.application.cli.{module}")
                command: click.Command = getattr(found, cmd_name)
                return command
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            close = difflib.get_close_matches(args[0], self.list_commands(ctx), n=3)
            if not close:
                raise
            guess = f"{error.message} Did you mean {' or '.join(close)}?"
            raise click.UsageError(guess, error.ctx) from None

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
