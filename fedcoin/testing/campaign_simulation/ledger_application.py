"""One validator's ledger in the consensus simulator: blocks are the product's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.contract.blocks.ledger import Execution, Ledger
from fedcoin.contract.blocks.validation import check_block, make_header
from fedcoin.contract.state.execution_context import BlockContext
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.contract.state.overlay import MemoryState
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import Block, build_block, decode_block
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.transactions import Transaction, action_name
from fedcoin.testing.campaign_simulation.campaign_setting import GENESIS_MS, CampaignSetting
from fedcoin.testing.campaign_simulation.proposer_policy import HONEST_PROPOSER
from fedcoin.testing.consensus_simulation.block_application import opaque_block
from fedcoin.testing.consensus_simulation.simulator import validator_key
from fedcoin.testing.dishonest.dishonest_proposals import (
    MINING_ACTIONS,
    grind_block,
    quorum_subsets,
)


class CampaignEnvironment(Protocol):
    """Where a node is: what it hears of, and who keeps the count."""

    setting: CampaignSetting
    genesis: Genesis
    refusals: Counter[str]
    left_out: dict[bytes, frozenset[bytes]]

    def ready(self, node: LedgerApplication) -> list[Transaction]:
        """What could be in this node's next block."""
        ...

    def audit(self, transaction: Transaction, state: MemoryState) -> None:
        """Raises Refusal for a reveal that recomputing refutes."""
        ...

    def ground(self, tries: int, challenges: int) -> None:
        """A grinder had its turn."""
        ...

    def drop(self, refused: Sequence[tuple[Transaction, RefusalError]]) -> None:
        """These cannot be in a block."""
        ...

    def after_block(self, node: LedgerApplication, execution: Execution) -> None:
        """A block is final here."""
        ...


class LedgerApplication:
    """One validator's ledger; an ``Application`` of the simulator."""

    def __init__(self, arena: CampaignEnvironment, index: int) -> None:
        self.arena = arena
        self.key = validator_key(index)
        self.index = index
        self.proposing = arena.setting.proposing.get(index, HONEST_PROPOSER)
        self.state = MemoryState()
        self.state.apply(genesis_changes(arena.genesis))
        self.ledger = Ledger(self.state, arena.genesis)
        self.tip: Block | None = None
        self.certificate = b""
        self._known: dict[bytes, Execution] = {}

    def height(self) -> int:
        """Implement `BlockApplication.height`."""
        return self.tip.height if self.tip else 0

    def validators(self) -> ValidatorSet:
        """Implement `BlockApplication.validators`."""
        return self.ledger.validators()

    def proposer(self, round: int) -> Validator:
        """Implement `BlockApplication.proposer`."""
        return self.ledger.proposer(self.height() + 1, round)

    def time_ms(self) -> int:
        """Return the Unix time in ms of the latest block, or of the genesis before the first."""
        return self.tip.header.time_ms if self.tip else GENESIS_MS

    def wants_block(self, now_ms: int) -> bool:
        """Implement `BlockApplication.wants_block`."""
        deadline = self.ledger.next_deadline_ms()
        late = deadline is not None and GENESIS_MS + now_ms >= deadline
        return late or self.ledger.needs_block() or bool(self.arena.ready(self))

    def build(self, round: int, now_ms: int) -> Block:
        """Implement `BlockApplication.build`."""
        time_ms = GENESIS_MS + now_ms + self.proposing.ahead_ms
        context = BlockContext(
            height=self.height() + 1,
            time_ms=max(time_ms, self.time_ms() + 1),
            proposer=self.key.address,
            last_certificate=self.certificate,
        )
        ready = self.arena.ready(self)
        candidates = self.proposing.chosen(ready, self.key.address)
        most = self.arena.genesis.parameters.max_block_bytes
        if self.proposing.grinds:
            others = quorum_subsets(self.certificate, self.ledger.last_validators())
            ground = grind_block(self.ledger, context, candidates, most, others)
            self.arena.ground(ground.tries, ground.challenges)
            context, built = ground.context, ground.built
        else:
            built = self.ledger.build(context, candidates, most)
        self.arena.drop(built.refused)
        parent = self.tip.hash if self.tip else self.arena.genesis.hash
        header = make_header(context, parent, self.arena.genesis, built.execution)
        raws = [transaction.raw for transaction in built.transactions]
        block = build_block(header, context.last_certificate, raws)
        self._known = {block.hash: built.execution}
        self.arena.left_out[block.hash] = frozenset(
            transaction.hash
            for transaction in ready
            if action_name(transaction.body) in MINING_ACTIONS and transaction.raw not in raws
        )
        return block

    def decode(self, raw: bytes) -> Block:
        """Implement `BlockApplication.decode`."""
        try:
            return decode_block(raw, len(raw))
        except RefusalError:
            # A faulty validator may have locked on bytes that are no block.
            return opaque_block(raw)

    def check(self, block: Block, now_ms: int) -> bool:
        """Implement `BlockApplication.check`."""
        try:
            execution = self._execute(block, GENESIS_MS + now_ms)
            for transaction in execution.transactions:
                self.arena.audit(transaction, self.state)
        except RefusalError as refusal:
            self.arena.refusals[refusal.code.value] += 1
            return False
        return True

    def adopt(self, block: Block, certificate: bytes) -> None:
        """Implement `BlockApplication.adopt`."""
        execution = self._execute(block, None)
        self.state.apply(execution.changes)
        self.ledger.adopt(execution)
        self.tip, self.certificate, self._known = block, certificate, {}
        self.arena.after_block(self, execution)

    def _execute(self, block: Block, now_ms: int | None) -> Execution:
        if block.hash not in self._known:
            self._known[block.hash] = check_block(
                block,
                self.tip.header if self.tip else None,
                self.arena.genesis,
                self.ledger,
                now_ms=now_ms,
            )
        return self._known[block.hash]
