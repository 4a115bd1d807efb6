"""One validator's ledger in the consensus simulator, built from the product's blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fedcoin.application.node.disputed_transactions import (
    leave_out_disputed,
    leaves_out_reveals,
)
from fedcoin.consensus.effects import Verdict
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.contract.blocks.execution import Execution
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.blocks.validation import (
    check_clock,
    check_header,
    execute_block,
    make_header,
)
from fedcoin.contract.state.execution_context import BlockContext
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.contract.state.overlay import MemoryState
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import Block, build_block, decode_block
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.transactions import action_name
from fedcoin.testing.campaign_simulation.campaign_outcome import CampaignOutcome
from fedcoin.testing.campaign_simulation.campaign_setting import GENESIS_MS, CampaignSetting
from fedcoin.testing.campaign_simulation.proposer_policy import HONEST_PROPOSER
from fedcoin.testing.campaign_simulation.shared_mempool import SharedMempool
from fedcoin.testing.consensus_simulation.block_application import opaque_block
from fedcoin.testing.consensus_simulation.simulator import validator_key
from fedcoin.testing.dishonest.dishonest_proposals import (
    MINING_ACTIONS,
    grind_block,
    quorum_subsets,
)


class CampaignEnvironment(Protocol):
    """The parts of a run that its validators share: setting, genesis, mempool and counts."""

    setting: CampaignSetting
    genesis: Genesis
    mempool: SharedMempool
    outcome: CampaignOutcome

    def after_block(self, node: LedgerApplication, execution: Execution) -> None:
        """React to a block that became final on a node.

        Args:
            node: The validator whose ledger has adopted the block.
            execution: The block's execution.
        """
        ...


class LedgerApplication:
    """Builds and executes one validator's blocks: a `block_application.BlockApplication`."""

    def __init__(self, environment: CampaignEnvironment, index: int) -> None:
        """Start at the genesis.

        Args:
            environment: The parts of the run that all validators share.
            index: The validator's index.
        """
        self.environment = environment
        self.key = validator_key(index)
        self.index = index
        self.policy = environment.setting.proposing.get(index, HONEST_PROPOSER)
        self.state = MemoryState()
        self.state.apply(genesis_changes(environment.genesis))
        self.ledger = Ledger(self.state, environment.genesis)
        # The latest final block, and its serialised Certificate.
        self.tip: Block | None = None
        self.certificate = b""
        self._executions: dict[bytes, Execution] = {}

    def height(self) -> int:
        """Implement `BlockApplication.height`: return the height of the latest final block."""
        return self.tip.height if self.tip else 0

    def validators(self) -> ValidatorSet:
        """Implement `BlockApplication.validators`: return the validators of the next height."""
        return self.ledger.validators()

    def proposer(self, round: int) -> Validator:
        """Implement `BlockApplication.proposer`: select the proposer of a round."""
        return self.ledger.proposer(round)

    def time_ms(self) -> int:
        """Return the time of the latest block, or of the genesis before the first, Unix ms."""
        return self.tip.header.time_ms if self.tip else GENESIS_MS

    def wants_block(self, now_ms: int) -> bool:
        """Implement `BlockApplication.wants_block`: tell whether a block is wanted."""
        deadline = self.ledger.next_deadline_ms()
        is_late = deadline is not None and GENESIS_MS + now_ms >= deadline
        has_candidates = bool(self.environment.mempool.candidates(self))
        return is_late or self.ledger.needs_block() or has_candidates

    def build(self, round: int, now_ms: int, failed: Sequence[Block] = ()) -> Block:
        """Implement `BlockApplication.build`: build the block that the policy wants."""
        environment = self.environment
        time_ms = GENESIS_MS + now_ms + self.policy.ahead_ms
        waiting = environment.mempool.candidates(self)
        candidates = leave_out_disputed(waiting, failed, round)
        context = BlockContext(
            height=self.height() + 1,
            time_ms=max(time_ms, self.time_ms() + 1),
            proposer=self.key.address,
            last_certificate=self.certificate,
            round=round,
            left_out_reveals=leaves_out_reveals(waiting, candidates),
        )
        chosen = self.policy.choose(candidates, self.key.address)
        max_bytes = environment.genesis.parameters.max_block_bytes
        if self.policy.grinds:
            certificates = quorum_subsets(self.certificate, self.ledger.last_validators())
            ground = grind_block(self.ledger, context, chosen, max_bytes, certificates)
            environment.outcome.count_grinding(ground.tries, ground.challenges)
            context, built = ground.context, ground.built
        else:
            built = self.ledger.build(context, chosen, max_bytes)
        environment.mempool.drop(built.refused)
        parent = self.tip.hash if self.tip else environment.genesis.hash
        header = make_header(context, parent, environment.genesis, built.execution)
        raws = [transaction.raw for transaction in built.transactions]
        block = build_block(header, context.last_certificate, raws)
        self._executions = {block.hash: built.execution}
        left_out = frozenset(
            transaction.hash
            for transaction in candidates
            if action_name(transaction.body) in MINING_ACTIONS and transaction.raw not in raws
        )
        environment.outcome.note_left_out(block.hash, left_out)
        return block

    def decode(self, raw: bytes) -> Block:
        """Implement `BlockApplication.decode`: decode a block that was stored with a lock."""
        try:
            return decode_block(raw, len(raw))
        except RefusalError:
            # A faulty validator may have locked on bytes that are no block.
            return opaque_block(raw)

    def check(self, block: Block, round: int) -> bool:
        """Implement `BlockApplication.check`: execute the block."""
        try:
            self._execute(block, round)
        except RefusalError as refusal:
            self.environment.outcome.refusals[refusal.code.value] += 1
            return False
        return True

    def judge(self, block: Block, now_ms: int) -> Verdict:
        """Implement `BlockApplication.judge`: compare the clock, and audit the reveals."""
        genesis, parent = self.environment.genesis, self.tip.header if self.tip else None
        try:
            check_clock(block.header, parent, genesis, GENESIS_MS + now_ms)
            for transaction in self._executions[block.hash].transactions:
                self.environment.mempool.audit(transaction, self.state)
        except RefusalError as refusal:
            self.environment.outcome.refusals[refusal.code.value] += 1
            return Verdict.FOUND_FALSE
        return Verdict.VALID

    def adopt(self, block: Block, certificate: bytes) -> None:
        """Implement `BlockApplication.adopt`: make a block final."""
        execution = self._executions[block.hash]
        self.state.apply(execution.changes)
        self.ledger.adopt(execution)
        self.tip, self.certificate, self._executions = block, certificate, {}
        self.environment.after_block(self, execution)

    def _execute(self, block: Block, round: int) -> None:
        genesis, parent = self.environment.genesis, self.tip.header if self.tip else None
        check_header(block.header, parent, genesis, self.ledger, round)
        if block.hash not in self._executions:
            self._executions[block.hash] = execute_block(block, genesis, self.ledger)
