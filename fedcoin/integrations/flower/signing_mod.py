"""The client's mod: it signs what the client sends, with the client's own key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp.typing import ClientAppCallable

from fedcoin.application.client.receipt_folder import ReceiptFolder
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.updates import decode_update, sign_update
from fedcoin.integrations.flower.node_options import (
    context_genesis,
    context_home,
    context_key,
    context_name,
)
from fedcoin.integrations.flower.round_terms import RECORD, RoundTerms, add_update, read_terms
from fedcoin.integrations.flower.train_replies import count_examples, read_arrays
from fedcoin.integrations.flower.triton_guard import keep_triton_out
from fedcoin.v1.task_pb2 import ClientUpdate


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
        home: The client's home folder, or a function that finds it, in which each update waits for
            its receipt (`keep_receipts`). By default it comes from the node's config, entry
            `fedcoin-home`; without it no update is kept.

    What the client calls itself comes from the node's config, too: entry `fedcoin-name`.
    """

    def __init__(
        self,
        key: KeyPair | Callable[[Context], KeyPair] = context_key,
        genesis: bytes | Callable[[Context], bytes] = context_genesis,
        home: Path | Callable[[Context], Path | None] = context_home,
    ) -> None:
        self._key = key
        self._home = home
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
        weights = terms.layout.encode(read_arrays(reply.content))
        update = ClientUpdate(
            campaign_id=terms.campaign_id,
            round=terms.round,
            base=terms.base,
            update=compute_artifact_id(weights),
            num_samples=count_examples(reply.content, terms.examples_key),
            address=key.address,
            name=context_name(context),
        )
        signed = sign_update(update, key, genesis)
        home = self._home(context) if callable(self._home) else self._home
        if home is not None:
            ReceiptFolder(home, genesis).save_update(decode_update(signed, genesis), weights)
        add_update(reply.content, signed)
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
