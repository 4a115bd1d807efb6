"""What a Flower node's config says of a paid client: its key, network, name and home."""

from __future__ import annotations

from pathlib import Path

from flwr.app import Context

from fedcoin.application.configuration.pinned_genesis import parse_genesis_argument
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.key_files import load_key
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.client_names import check_name

KEY_OPTION = "fedcoin-key"
"""The entry of a node's config with the path of the client's key file."""
GENESIS_OPTION = "fedcoin-genesis"
"""The entry of a node's config with the network's genesis: a path, or a hash of 64 hex digits."""
NAME_OPTION = "fedcoin-name"
"""The entry of a node's config with what the client calls itself; without it, it has no name."""
HOME_OPTION = "fedcoin-home"
"""The entry of a node's config with the client's home folder, in which receipts are kept."""

NODE_OPTION = "fedcoin-node"
"""The entry of a node's config with `host:port` of the API of a FedCoin node that the client
trusts, reached in plaintext: its own, on the same machine."""


def context_key(context: Context) -> KeyPair:
    """Load the key that the node's config names as `fedcoin-key`.

    Args:
        context: The context of the client app.

    Returns:
        The client's key pair.

    Raises:
        RefusalError: BAD_ARGUMENT when the config has no such entry; BAD_KEY_FILE when others can
            read the file or it is malformed; WRONG_PASSPHRASE when it is encrypted.
    """
    return load_key(Path(_read_option(context, KEY_OPTION)))


def context_genesis(context: Context) -> bytes:
    """Read the genesis that the node's config names as `fedcoin-genesis`.

    Args:
        context: The context of the client app.

    Returns:
        The genesis hash, 32 bytes.

    Raises:
        RefusalError: BAD_ARGUMENT when the config has no such entry; BAD_GENESIS when the file is
            malformed.
        ValueError: The entry is neither a file nor a hash.
    """
    return parse_genesis_argument(_read_option(context, GENESIS_OPTION))


def context_name(context: Context) -> str:
    """Read the name that the node's config gives the client as `fedcoin-name`.

    Args:
        context: The context of the client app.

    Returns:
        The name; empty when the config has no such entry.

    Raises:
        RefusalError: MALFORMED when it is not allowed, as in `check_name`.
    """
    name = str(context.node_config.get(NAME_OPTION, ""))
    check_name(name, NAME_OPTION)
    return name


def context_home(context: Context) -> Path | None:
    """Read the home folder that the node's config names as `fedcoin-home`.

    Args:
        context: The context of the client app.

    Returns:
        The folder; None when the config has no such entry.
    """
    home = context.node_config.get(HOME_OPTION)
    return Path(home) if isinstance(home, str) and home else None


def context_node(context: Context) -> str:
    """Read the FedCoin node that the node's config names as `fedcoin-node`.

    Args:
        context: The context of the client app.

    Returns:
        `host:port` of its API; empty when the config has no such entry.
    """
    node = context.node_config.get(NODE_OPTION)
    return node if isinstance(node, str) else ""


def _read_option(context: Context, name: str) -> str:
    value = context.node_config.get(name)
    if not isinstance(value, str):
        raise RefusalError(
            ApplicationCode.BAD_ARGUMENT,
            f"the node's config has no text under {name}: start the SuperNode with"
            f" --node-config '{name}=\"...\"', or pass SigningMod a key and a genesis",
            field=name,
        )
    return value
