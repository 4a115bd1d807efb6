"""The results of a simulated campaign, counted from the first validator's final blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from fedcoin.contract.blocks.execution import Execution
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
    """One miner's results over a simulated campaign. Amounts are in sap."""

    # The number of tasks that the miner won.
    wins: int = 0
    # The payments to the miner for mining.
    rewards: int = 0
    # The miner's deposits that were burned.
    burned: int = 0
    # The number of coalitions that the miner evaluated.
    evaluations: int = 0
    # The number of tasks in which the miner's evidence was accepted.
    revealed: int = 0
    # The part of the miner's bond that was burned for signing two contradicting votes.
    bond_burned: int = 0
    # The height of the block that burned the bond; 0 if the bond was not burned.
    slashed_height: int = 0
    # The payments to the miner for reporting other validators' contradicting votes.
    report_rewards: int = 0
    # How long the miner's transactions waited. `waits[k]` is the number of its commitments,
    # openings and reveals that k proposers left out of their blocks before one included them.
    waits: Counter[int] = field(default_factory=Counter)


@dataclass
class SettledTask:
    """What a simulated campaign records of a task that was settled."""

    # The winner's address, 20 bytes.
    winner: bytes
    # S-bar: the agreed Shapley value of each client, in nano-utility.
    mean_shapley_nano: tuple[int, ...]
    # The heights of the blocks that opened and closed the task.
    opened_height: int
    closed_height: int
    # The times of the blocks that opened and closed the task, Unix ms.
    opened_ms: int
    closed_ms: int
    # How many attempts the task needed, at least 1.
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
        # A grinding proposer builds several blocks and picks the one whose challenge suits it.
        # Counted: its turns with more than one block, the blocks of those turns, and the largest
        # number of different challenges in one turn.
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
        """Count a turn in which a proposer could choose among several blocks it had built.

        Args:
            blocks: How many blocks the proposer built; a turn with one block is not counted.
            challenges: How many different challenges those blocks would have led to.
        """
        if blocks > 1:
            self.grinding_turns += 1
            self.grinding_blocks += blocks
            self.max_challenges = max(self.max_challenges, challenges)

    def note_left_out(self, block_hash: bytes, transactions: frozenset[bytes]) -> None:
        """Note the miners' transactions that a proposer left out of a block that had room for them.

        Args:
            block_hash: The block's hash, 32 bytes.
            transactions: The hashes of the transactions, 32 bytes each.
        """
        self._left_out[block_hash] = transactions

    def count_block(self, block: Block, execution: Execution, state: StateReader) -> None:
        """Add the settlements, payments and waits of a final block to the counts.

        Args:
            block: The final block.
            execution: The result of executing the block.
            state: The state after the block.
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
