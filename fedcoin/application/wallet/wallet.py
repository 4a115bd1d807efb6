"""A wallet: a key, and a node that takes its transactions.

It fills in what a person does not care about (nonce, fee, expiry), signs, submits, and waits. It
holds no coins and no state: all of that is on the chain.
"""

from __future__ import annotations

import asyncio
import random

from google.protobuf.message import Message

from fedcoin.application.errors import ApplicationCode
from fedcoin.contract.admission import min_replacement_fee
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction, sign_transaction
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.node_service_pb2 import GetFeesResponse
from fedcoin.v1.transaction_pb2 import TransactionBody
from fedcoin.v1.views_pb2 import TRANSACTION_STATUS_PENDING, TransactionView

EXPIRY_BLOCKS = 200
"""How many blocks ahead transactions expire, if the network allows it."""

STALE_NONCES = frozenset({"NONCE_TOO_LOW", "NONCE_TOO_HIGH", "REPLACEMENT_UNDERPRICED"})
"""What a node answers when another transaction of the sender came first, or was dropped."""

ATTEMPTS = 8
"""How often a transaction is signed anew when another of the same key came first."""

RETRY_SECONDS = 0.05

KIB = 1024


class Wallet:
    """Signs with one key and submits to one node. Made for one event loop."""

    def __init__(self, node: NodeClient, key: KeyPair, chain_id: str = "") -> None:
        """``chain_id`` is asked from the node when it is empty; whoever knows it should say."""
        self._node = node
        self._key = key
        self._chain_id = chain_id
        self._fees: GetFeesResponse | None = None
        # Two transactions at a time would be given the same nonce.
        self._turn = asyncio.Lock()

    @property
    def address(self) -> bytes:
        """Whose coins these are, 20 bytes."""
        return self._key.address

    @property
    def key(self) -> KeyPair:
        """What signs."""
        return self._key

    async def submit(
        self, action: Message, *, fee: int | None = None, replaces: TransactionView | None = None
    ) -> Transaction:
        """Signs an action (a Transfer, a Bond, ...) and hands it to the node.

        ``fee`` is in sap, None for the least. ``replaces`` is a transaction of this key that waits:
        the new one gets its nonce. Returns as soon as the node's pool took it. Raises RpcFailure
        with the ledger's code when it is refused; Refusal NOT_REPLACEABLE when that one does not
        wait, or is another key's.
        """
        async with self._turn:
            for attempt in range(1, ATTEMPTS + 1):
                transaction = await self._prepare(action, fee, replaces)
                try:
                    await self._node.submit_transaction(transaction.raw)
                except RpcError as failure:
                    stale = failure.code in STALE_NONCES and replaces is None
                    if not stale or attempt == ATTEMPTS:
                        raise
                else:
                    return transaction
                # Two that race for nonces must not try again in step.
                await asyncio.sleep(random.uniform(0.0, RETRY_SECONDS) * attempt)
        raise AssertionError("unreachable")

    async def wait_until_final(
        self, transaction: Transaction, timeout: float = 60.0
    ) -> TransactionView:
        """Waits until a transaction is in a final block.

        Raises RpcFailure: DROPPED with the reason, or TIMED_OUT after ``timeout`` seconds.
        """
        return await self._node.wait_until_final(transaction.hash, timeout)

    async def execute(self, action: Message, timeout: float = 60.0) -> TransactionView:
        """Submits an action and waits until it is final."""
        return await self.wait_until_final(await self.submit(action), timeout)

    async def _prepare(
        self, action: Message, fee: int | None, replaces: TransactionView | None
    ) -> Transaction:
        if self._fees is None:
            self._fees = await self._node.get_fees()
        fees = self._fees
        status, account = await asyncio.gather(
            self._node.get_status(), self._node.get_account(self._key.address)
        )
        self._chain_id = self._chain_id or status.chain_id
        body = draft(
            action,
            fees,
            chain_id=self._chain_id,
            nonce=account.nonce if replaces is None else self._nonce_of(replaces),
            height=status.height,
            replaced=None if replaces is None else replaces.fee,
        )
        if fee is not None:
            body.fee = fee
        return sign_transaction(body, self._key)

    def _nonce_of(self, replaced: TransactionView) -> int:
        waits = replaced.status == TRANSACTION_STATUS_PENDING
        if waits and replaced.sender == format_address(self.address):
            return replaced.nonce
        problem = f"its sender is {replaced.sender}" if waits else "it does not wait any more"
        raise RefusalError(
            ApplicationCode.NOT_REPLACEABLE,
            f"transaction {replaced.hash} cannot be replaced by {format_address(self.address)}:"
            f" {problem}",
            field="replace",
        )


def draft(
    action: Message,
    fees: GetFeesResponse,
    *,
    chain_id: str,
    nonce: int,
    height: int,
    replaced: int | None = None,
) -> TransactionBody:
    """A transaction with the least fee that expires a while after block ``height``; not signed.

    ``replaced`` is the fee of the waiting transaction that it is to replace.
    """
    body = TransactionBody(
        chain_id=chain_id,
        nonce=nonce,
        expiry_height=height + min(EXPIRY_BLOCKS, fees.max_expiry_blocks),
    )
    getattr(body, action_field(action)).CopyFrom(action)
    body.fee = compute_min_fee(body, fees, replaced)
    return body


def action_field(action: Message) -> str:
    """The field of a TransactionBody that holds such an action, as ``open_task`` for OpenTask."""
    for field in TransactionBody.DESCRIPTOR.oneofs_by_name["action"].fields:
        if field.message_type is action.DESCRIPTOR:
            return str(field.name)
    raise TypeError(f"{type(action).__name__} is no action")


def compute_min_fee(
    body: TransactionBody, fees: GetFeesResponse, replaced: int | None = None
) -> int:
    """The smallest fee that a body has to carry, in sap; what it carries now is ignored.

    ``replaced`` is the fee of the waiting transaction that it is to replace.
    """
    fee = fees.base_fee + fees.fee_per_kib
    while True:
        body.fee = fee
        needed = fees.base_fee + fees.fee_per_kib * -(-body.ByteSize() // KIB)
        if replaced is not None:
            needed = min_replacement_fee(replaced, needed)
        if needed <= fee:
            return fee
        # A larger fee takes more bytes, but at most nine more.
        fee = needed
