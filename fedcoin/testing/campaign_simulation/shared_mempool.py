"""A mempool that all simulated nodes share, in place of gossip, and the voters' audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from google.protobuf.message import Message

from fedcoin.contract.admission import min_fee
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.errors import PREMATURE_CODES
from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import MemoryState
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.transactions import Transaction, action_name, sign_transaction
from fedcoin.incentive.proof.audit import compare_counts, compute_tolerance, list_claims
from fedcoin.incentive.proof.sampling_plan import build_plan
from fedcoin.testing.campaign_simulation.saturating_game import SaturatingGame
from fedcoin.testing.consensus_simulation.block_application import CHAIN_ID
from fedcoin.v1.transaction_pb2 import CommitShapley, RevealShapley, TransactionBody

_FIELDS = {
    "CommitShapley": "commit_shapley",
    "RevealShapley": "reveal_shapley",
    "OpenCampaign": "open_campaign",
    "OpenTask": "open_task",
    "ReportEquivocation": "report_equivocation",
}
"""The field of a TransactionBody for each action."""

MAX_MINING_ACTIONS = 200
"""How many of the latest commitments and reveals miners can copy from."""

EXPIRY_BLOCKS = 900
"""After how many blocks a transaction expires."""

MiningAction = CommitShapley | RevealShapley
"""A commitment or reveal of a miner."""


class LedgerHolder(Protocol):
    """A node whose ledger checks transactions."""

    key: KeyPair
    state: MemoryState
    ledger: Ledger

    def height(self) -> int:
        """Return the height of the latest final block; 0 before the first."""
        ...

    def time_ms(self) -> int:
        """Return the time of the latest final block, Unix ms."""
        ...


class SharedMempool:
    """Transactions on their way into a block, the same for all nodes."""

    def __init__(self, genesis: Genesis, game: SaturatingGame, refusals: Counter[str]) -> None:
        """Start without transactions.

        Args:
            genesis: The network's genesis.
            game: Recomputes coalitions when a reveal is audited.
            refusals: Counts refused transactions by code.
        """
        self._genesis = genesis
        self._game = game
        self._refusals = refusals
        self._transactions: dict[bytes, Transaction] = {}
        self._mining_actions: list[tuple[bytes, MiningAction]] = []
        self._verdicts: dict[bytes, RefusalError | None] = {}

    def submit(self, node: LedgerHolder, signer: KeyPair, action: Message) -> Transaction | None:
        """Sign a transaction and add it, if a node's ledger accepts it.

        Args:
            node: The node that it is submitted to.
            signer: The sender's key.
            action: The action to sign, such as a CommitShapley; it pays the lowest fee.

        Returns:
            The transaction; None if it is refused.
        """
        pending = self._pending_of(node, signer.address)
        nonce = node.ledger.account(signer.address).nonce
        body = TransactionBody(
            chain_id=CHAIN_ID,
            nonce=nonce + len(pending),
            expiry_height=node.height() + EXPIRY_BLOCKS,
        )
        getattr(body, _FIELDS[type(action).__name__]).CopyFrom(action)
        # Ten bytes more than the body has without its fee: enough for the fee's own field.
        body.fee = min_fee(self._genesis.parameters, body.ByteSize() + 10)
        transaction = sign_transaction(body, signer, self._genesis.hash)
        time_ms = node.time_ms() + 1
        refusal = node.ledger.check_all([*pending, transaction], node.height(), time_ms)[-1]
        if refusal is not None:
            self._refusals[refusal.code.value] += 1
            return None
        self._transactions[transaction.hash] = transaction
        if isinstance(action, (CommitShapley, RevealShapley)):
            self._mining_actions.append((signer.address, action))
        return transaction

    def rival_actions(self, miner: bytes) -> list[MiningAction]:
        """List the latest mining actions of other miners.

        Args:
            miner: The miner's address, 20 bytes.

        Returns:
            Commitments, openings and reveals, oldest first.
        """
        return [action for sender, action in self._mining_actions if sender != miner]

    def forget_old_actions(self) -> None:
        """Keep the latest 200 commitments and reveals."""
        del self._mining_actions[:-MAX_MINING_ACTIONS]

    def candidates(self, node: LedgerHolder) -> list[Transaction]:
        """List the transactions that could be in a node's next block.

        Args:
            node: The node that builds a block.

        Returns:
            Transactions that the other validators would accept, and all of the node's own ones.
        """
        chosen = []
        for transaction in self._transactions.values():
            if transaction.body.nonce < node.ledger.account(transaction.sender).nonce:
                continue
            is_acceptable = self._verdict(transaction, node.state) is None
            if is_acceptable or transaction.sender == node.key.address:
                chosen.append(transaction)
        return chosen

    def drop(self, refused: Sequence[tuple[Transaction, RefusalError]]) -> None:
        """Remove transactions that a ledger refused, and count the refusals.

        Args:
            refused: The transactions, and why each was refused.
        """
        for transaction, refusal in refused:
            if self._transactions.pop(transaction.hash, None) is not None:
                self._refusals[refusal.code.value] += 1

    def audit(self, transaction: Transaction, state: MemoryState) -> None:
        """Check a transaction of a proposed block, as voters do before they vote for it.

        Args:
            transaction: Any transaction; only reveals with leaves are recomputed.
            state: The state before the block.

        Raises:
            RefusalError: AUDIT_FAILED when recomputed coalitions differ from a reveal.
        """
        refusal = self._verdict(transaction, state)
        if refusal is not None:
            raise refusal

    def review(self, node: LedgerHolder, nodes: Sequence[LedgerHolder]) -> None:
        """Remove transactions that every node applied, or that can no longer be applied.

        Args:
            node: The node whose ledger checks them.
            nodes: All nodes.
        """
        for hash, transaction in list(self._transactions.items()):
            nonces = [n.ledger.account(transaction.sender).nonce for n in nodes]
            if min(nonces) > transaction.body.nonce:
                del self._transactions[hash]
        for sender in {transaction.sender for transaction in self._transactions.values()}:
            pending = self._pending_of(node, sender)
            refusals = node.ledger.check_all(pending, node.height(), node.time_ms() + 1)
            for transaction, refusal in zip(pending, refusals, strict=True):
                if refusal is not None and refusal.code not in PREMATURE_CODES:
                    self.drop([(transaction, refusal)])

    def _pending_of(self, node: LedgerHolder, sender: bytes) -> list[Transaction]:
        """List a sender's transactions that a node has not applied, in the order of nonces."""
        nonce = node.ledger.account(sender).nonce
        pending = (
            transaction
            for transaction in self._transactions.values()
            if transaction.sender == sender and transaction.body.nonce >= nonce
        )
        return sorted(pending, key=lambda transaction: transaction.body.nonce)

    def _verdict(self, transaction: Transaction, state: MemoryState) -> RefusalError | None:
        """Audit a reveal once; other transactions are accepted."""
        if action_name(transaction.body) != "reveal_shapley":
            return None
        if not transaction.body.reveal_shapley.evidence.leaves:
            return None
        if transaction.hash not in self._verdicts:
            self._verdicts[transaction.hash] = self._recompute(transaction, state)
        return self._verdicts[transaction.hash]

    def _recompute(self, transaction: Transaction, state: MemoryState) -> RefusalError | None:
        action = transaction.body.reveal_shapley
        terms = records.TERMS.get(state, action.task_id)
        assert terms is not None
        plan = build_plan(terms, action.task_id, transaction.public_key)
        tolerance = compute_tolerance(
            terms.evaluation.size, self._genesis.parameters.utility_tolerance
        )
        try:
            claims = list_claims(action.evidence, plan)
            compare_counts(claims, self._game(claims.coalitions), tolerance)
        except RefusalError as refusal:
            self._refusals[refusal.code.value] += 1
            return refusal
        return None
