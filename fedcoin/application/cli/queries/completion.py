"""`fedcoin-node completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from fedcoin.application.cli.shared.options import example

PROGRAM = "fedcoin-node"
"""The program whose arguments are completed."""

VARIABLE = "_FEDCOIN_NODE_COMPLETE"
"""The variable by which the script asks the program for completions."""


@click.command(
    epilog=example(
        "fedcoin-node completion bash > ~/.local/share/bash-completion/completions/fedcoin-node",
        "fedcoin-node completion fish > ~/.config/fish/completions/fedcoin-node.fish",
        "source <(fedcoin-node completion zsh)                     in ~/.zshrc",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script by which a shell completes commands and options."""
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(ctx.find_root().command, {}, PROGRAM, VARIABLE).source())
