"""The client's mod: it signs what the client sends, with the client's own key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp.typing import ClientAppCallable

from fedcoin.application.configuration.pinned_genesis import parse_genesis_argument
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.crypto.key_files import load_key
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.client_names import check_name
from fedcoin.data.messages.updates import sign_update
from fedcoin.integrations.flower.round_terms import RECORD, RoundTerms, add_update, read_terms
from fedcoin.integrations.flower.train_replies import count_examples, read_arrays
from fedcoin.integrations.flower.triton_guard import keep_triton_out
from fedcoin.v1.task_pb2 import ClientUpdate

KEY_OPTION = "fedcoin-key"
"""The entry of a node's config with the path of the client's key file."""
GENESIS_OPTION = "fedcoin-genesis"
"""The entry of a node's config with the network's genesis: a path, or a hash of 64 hex digits."""


NAME_OPTION = "fedcoin-name"
"""The entry of a node's config with what the client calls itself; without it, it has no name."""


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


class SigningMod:
    """Signs the reply to each message of training that comes from a `PaidFederation`.

    The signature covers network, campaign, round, the artifact ids of the arrays that came and of
    those that go, and the number of examples: what the chain pays for. Put it first in the list of
    mods, so that it signs what leaves the client after all other mods. Messages of servers that
    pay nothing, and of evaluation, pass unchanged.

    Args:
        key: The client's key, or a function that finds it for the app's context. By default it
            comes from the node's config, entry `fedcoin-key`.
        genesis: The genesis hash of the network to sign for (32 bytes), or a function that finds
            it. It must not come from the server, which could otherwise have updates signed for
            another network. By default it comes from the node's config, entry `fedcoin-genesis`.

    What the client calls itself comes from the node's config, too: entry `fedcoin-name`.
    """

    def __init__(
        self,
        key: KeyPair | Callable[[Context], KeyPair] = context_key,
        genesis: bytes | Callable[[Context], bytes] = context_genesis,
    ) -> None:
        self._key = key
        self._genesis = genesis

    def __call__(self, message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        """Let the client train, and sign its reply.

        Args:
            message: The server's message.
            context: The context of the client app.
            call_next: The next mod, or the app.

        Returns:
            The reply, with a record `fedcoin` that holds the signed update.

        Raises:
            RefusalError: WRONG_BASE when the message's arrays are not those that its terms name;
                MALFORMED; WRONG_NAMES; BAD_SAMPLES when the reply's number of examples is not
                from 1 on. Flower reports it to the server as the client's error.
        """
        keep_triton_out()
        terms = read_terms(message.content)
        if terms is None:
            return call_next(message, context)
        # Before the app trains, and before it can change the arrays.
        _check_base(terms, message)
        del message.content[RECORD]
        reply = call_next(message, context)
        if reply.has_error():
            return reply
        key = self._key if isinstance(self._key, KeyPair) else self._key(context)
        genesis = self._genesis if isinstance(self._genesis, bytes) else self._genesis(context)
        update = ClientUpdate(
            campaign_id=terms.campaign_id,
            round=terms.round,
            base=terms.base,
            update=compute_artifact_id(terms.layout.encode(read_arrays(reply.content))),
            num_samples=count_examples(reply.content, terms.examples_key),
            address=key.address,
            name=context_name(context),
        )
        add_update(reply.content, sign_update(update, key, genesis))
        return reply


def _check_base(terms: RoundTerms, message: Message) -> None:
    base = compute_artifact_id(terms.layout.encode(read_arrays(message.content)))
    if base != terms.base:
        raise RefusalError(
            ApplicationCode.WRONG_BASE,
            f"the message's arrays are the artifact {base.hex()}; its terms name"
            f" {terms.base.hex()}: the server is in error, and nothing is signed",
            field="base",
            limit=terms.base.hex(),
        )


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
