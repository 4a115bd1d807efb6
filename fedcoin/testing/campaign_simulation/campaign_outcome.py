"""What came of a simulated campaign: counts from the first validator's final blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from fedcoin.contract.blocks.ledger import Execution
from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import StateReader
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.receipts import decode_receipt
from fedcoin.data.messages.transactions import action_name
from fedcoin.testing.dishonest.dishonest_proposals import MINING_ACTIONS
from fedcoin.v1 import block_pb2
from fedcoin.v1.block_pb2 import PaymentReceipt


@dataclass
class MinerTally:
    """What came of one miner. Amounts are in sap."""

    # Tasks that it won.
    wins: int = 0
    # Paid to it for mining.
    rewards: int = 0
    # Its deposits that were burned.
    burned: int = 0
    # Coalitions that it evaluated.
    evaluations: int = 0
    # Tasks in which its evidence was accepted.
    revealed: int = 0
    # What was burned of its bond, and in the block of which height; 0 if nothing was.
    bond_burned: int = 0
    slashed_height: int = 0
    # Paid to it for reporting equivocations.
    report_rewards: int = 0
    # Of its commitments, openings and reveals: how many were left out of 0, 1, 2, ... final blocks
    # that could have held them.
    waits: Counter[int] = field(default_factory=Counter)


@dataclass
class SettledTask:
    """One settled task."""

    # The winner's address, 20 bytes.
    winner: bytes
    mean_shapley_nano: tuple[int, ...]
    opened_height: int
    closed_height: int
    # The times of the blocks that opened and closed it, Unix ms.
    opened_ms: int
    closed_ms: int
    attempts: int


class CampaignOutcome:
    """Counts of a whole run, updated after each final block."""

    def __init__(self, miners: Sequence[bytes]) -> None:
        """Start with empty counts.

        Args:
            miners: The address of each miner, 20 bytes, in the order of the tallies.
        """
        self.tallies = [MinerTally() for _ in miners]
        self.settled: list[SettledTask] = []
        # Tasks that failed after all their attempts.
        self.num_failed = 0
        # How often a transaction or block was refused, by the error's code.
        self.refusals: Counter[str] = Counter()
        # What clients were paid, in sap, by address.
        self.client_payouts: Counter[bytes] = Counter()
        # Turns in which a grinding proposer had openings to choose from, the blocks that it built
        # in these, and the most different challenges that the blocks of one turn would have fixed.
        self.grinding_turns = 0
        self.grinding_blocks = 0
        self.max_challenges = 0
        self._left_out: dict[bytes, frozenset[bytes]] = {}
        self._num_left_out: Counter[bytes] = Counter()
        self._index = {address: index for index, address in enumerate(miners)}

    @property
    def num_closed(self) -> int:
        """How many tasks were settled or failed."""
        return len(self.settled) + self.num_failed

    def count_grinding(self, blocks: int, challenges: int) -> None:
        """Count a grinding proposer's turn, if it had a choice.

        Args:
            blocks: How many blocks it built.
            challenges: How many different challenges these would have fixed.
        """
        if blocks > 1:
            self.grinding_turns += 1
            self.grinding_blocks += blocks
            self.max_challenges = max(self.max_challenges, challenges)

    def note_left_out(self, block_hash: bytes, transactions: frozenset[bytes]) -> None:
        """Note which miners' transactions a built block could have held and does not.

        Args:
            block_hash: The block's hash, 32 bytes.
            transactions: Their hashes.
        """
        self._left_out[block_hash] = transactions

    def count_block(self, block: Block, execution: Execution, state: StateReader) -> None:
        """Count what a final block did.

        Args:
            block: The block.
            execution: Its execution.
            state: The state after it.
        """
        if execution.settlement is not None:
            self._count_settlement(execution.settlement, state)
        for raw in execution.receipts:
            receipt = decode_receipt(raw)
            if receipt.task.phase == block_pb2.TASK_PHASE_FAILED:
                self.num_failed += 1
            if receipt.HasField("payment"):
                self._count_payment(receipt.payment, block.height)
        self._count_waits(block.hash, execution)

    def _count_settlement(self, settlement: block_pb2.Settlement, state: StateReader) -> None:
        self._tally_of(settlement.winner).wins += 1
        task = records.TASKS.get(state, settlement.task_id)
        assert task is not None
        self.settled.append(
            SettledTask(
                settlement.winner,
                tuple(settlement.mean_shapley_nano),
                task.opened_height,
                task.closed_height,
                task.opened_ms,
                task.closed_ms,
                task.attempt + 1,
            )
        )
        for address, miner in records.MINERS.scan(state, settlement.task_id):
            self._tally_of(address).revealed += miner.revealed

    def _count_payment(self, payment: PaymentReceipt, height: int) -> None:
        kind, amount = payment.kind, payment.amount
        if kind == block_pb2.PAYMENT_KIND_TRAINING:
            self.client_payouts[payment.address] += amount
        elif kind == block_pb2.PAYMENT_KIND_MINING:
            self._tally_of(payment.address).rewards += amount
        elif kind == block_pb2.PAYMENT_KIND_DEPOSIT_BURNED:
            self._tally_of(payment.address).burned += amount
        elif kind == block_pb2.PAYMENT_KIND_BOND_BURNED:
            self._tally_of(payment.address).bond_burned += amount
            self._tally_of(payment.address).slashed_height = height
        elif kind == block_pb2.PAYMENT_KIND_REPORT_REWARD:
            self._tally_of(payment.address).report_rewards += amount

    def _tally_of(self, address: bytes) -> MinerTally:
        return self.tallies[self._index[address]]

    def _count_waits(self, block_hash: bytes, execution: Execution) -> None:
        self._num_left_out.update(self._left_out.pop(block_hash, ()))
        for transaction in execution.transactions:
            if action_name(transaction.body) in MINING_ACTIONS:
                waits = self._tally_of(transaction.sender).waits
                waits[self._num_left_out.pop(transaction.hash, 0)] += 1
