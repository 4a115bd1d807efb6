"""Transactions of an account of several keys: prepare one, and wait until its people sent it."""

from __future__ import annotations

import asyncio
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Final

from google.protobuf.message import Message

from fedcoin.application.wallet.delivery import Delivery
from fedcoin.application.wallet.key_policy_file import read_policy
from fedcoin.application.wallet.prepared_transaction import PreparedTransaction, read_prepared
from fedcoin.application.wallet.transaction_drafts import action_field, draft_transaction
from fedcoin.contract.admission import check_policy_action
from fedcoin.data.atomic_files import replace_file
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.key_policies import KeyPolicy
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.transactions import encode_body
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.v1.views_pb2 import TRANSACTION_STATUS_FINAL, TRANSACTION_STATUS_PENDING

LOOK_S: Final = 1.0
"""The time between two looks at the chain, in seconds."""


async def prepare_transaction(
    node: NodeClient,
    policy: KeyPolicy,
    chain: ChainIdentity,
    action: Message,
    *,
    fee: int | None = None,
    nonce: int | None = None,
) -> PreparedTransaction:
    """Prepare an account's next transaction, for its people to sign.

    Args:
        node: The node that tells height, nonce and fees.
        policy: The account's policy.
        chain: The network to sign for, which must not come from the node.
        action: The action, such as a Transfer.
        fee: The fee in sap; None takes the lowest that is accepted.
        nonce: Its nonce; None takes the account's next one.

    Returns:
        The transaction without signatures. It expires as late as the network allows.

    Raises:
        RefusalError: NEEDS_ONE_KEY when such an account cannot do this.
        RpcError: The node cannot be reached.
    """
    check_policy_action(action_field(action))
    status, account, fees = await asyncio.gather(
        node.get_status(), node.get_account(policy.address), node.get_fees()
    )
    body = draft_transaction(
        action,
        fees,
        chain_id=chain.chain_id,
        nonce=account.nonce if nonce is None else nonce,
        height=status.height,
        policy=policy,
        expiry_blocks=fees.max_expiry_blocks,
    )
    if fee is not None:
        body.fee = fee
    return PreparedTransaction(chain.genesis_hash, policy, encode_body(body))


async def open_shared_account(policy_file: str, delivery: Delivery) -> SharedAccount | None:
    """Read the file of an account whose people sign for a program.

    Args:
        policy_file: The account's file; empty where there is none.
        delivery: Names the node, and gets a line of text when people have to do something.

    Returns:
        The account; None where there is none.

    Raises:
        RefusalError: NO_FILE or BAD_POLICY_FILE when the file is not one of an account.
    """
    if not policy_file:
        return None
    return SharedAccount(await asyncio.to_thread(read_policy, Path(policy_file)), delivery)


class SharedAccount:
    """Has people sign an account's transactions, which they send themselves.

    Args:
        policy: The account's policy.
        delivery: Names the node, and gets a line of text when people have to do something.
    """

    def __init__(self, policy: KeyPolicy, delivery: Delivery) -> None:
        self._policy = policy
        self._delivery = delivery
        self._node, self._chain, self._report = delivery.node, delivery.chain, delivery.report

    async def await_signed(self, action: Message, folder: Path) -> bytes:
        """Prepare a transaction and wait until it is final, however long people take to sign.

        It is prepared again when it expired, or when another transaction took its nonce.

        Args:
            action: The action, such as an OpenCampaign.
            folder: Where the file for the people is, named after the action, such as
                `open-campaign.json`. When it holds this action, its transaction is awaited.

        Returns:
            The transaction's hash, 32 bytes, which does not depend on who signs.

        Raises:
            RpcError: The node refuses to be asked.
        """
        retry = self._delivery.retry_while_away
        path = folder / f"{action_field(action).replace('_', '-')}.json"
        prepared = await asyncio.to_thread(self._read, path, action)
        while True:
            if prepared is None:
                prepare = partial(prepare_transaction, self._node, self._policy, self._chain)
                prepared = await retry(partial(prepare, action))
                await asyncio.to_thread(replace_file, path, prepared.render().encode())
            self._announce(prepared, path)
            if await self._is_sent(prepared):
                return prepared.hash
            self._report(f"transaction {prepared.hash.hex()} can no longer become final")
            prepared = None

    async def _is_sent(self, prepared: PreparedTransaction) -> bool:
        """Wait until a transaction is final, or can no longer become so."""
        while True:
            state = await self._delivery.retry_while_away(partial(self._look, prepared))
            if state is not _State.WAITS:
                return state is _State.FINAL
            await asyncio.sleep(LOOK_S)

    def _read(self, path: Path, action: Message) -> PreparedTransaction | None:
        """Read the transaction that waited before a restart; None when there is none for this."""
        try:
            found = read_prepared(path)
        except RefusalError:
            return None
        is_same = (found.policy, found.genesis_hash) == (self._policy, self._chain.genesis_hash)
        return found if is_same and getattr(found.body, action_field(action)) == action else None

    def _announce(self, prepared: PreparedTransaction, path: Path) -> None:
        self._report(
            f"{self._policy} keys of {format_address(self._policy.address)} have to sign {path} by"
            f" height {prepared.body.expiry_height}: `fedcoin-node transaction sign` with each,"
            " then `transaction combine` and `transaction send`"
        )

    async def _look(self, prepared: PreparedTransaction) -> _State:
        # The account before the transaction, which may become final between the two.
        account = await self._node.get_account(self._policy.address)
        height = (await self._node.get_status()).height
        try:
            view = await self._node.get_transaction(prepared.hash)
        except RpcError as error:
            if error.code != NetworkCode.TRANSACTION_NOT_FOUND.name:
                raise
        else:
            if view.status == TRANSACTION_STATUS_FINAL:
                return _State.FINAL
            if view.status == TRANSACTION_STATUS_PENDING:
                return _State.WAITS
        body = prepared.body
        is_over = account.nonce > body.nonce or height >= body.expiry_height
        return _State.LOST if is_over else _State.WAITS


class _State(Enum):
    """What became of a prepared transaction."""

    WAITS = "waits"
    FINAL = "final"
    LOST = "lost"
