"""Chains of nodes that lie when it is their turn to build a block."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from fedcoin.application.node.chain import Chain, Draft
from fedcoin.contract.blocks.ledger import Built
from fedcoin.contract.state.execution_context import BlockContext
from fedcoin.data.messages.transactions import Transaction
from fedcoin.testing.dishonest.dishonest_proposals import (
    exclude_rivals,
    grind_block,
    quorum_subsets,
)

log = logging.getLogger(__name__)


class CensoringChain(Chain):
    """Leaves the rivals' commitments, openings and reveals out of its blocks."""

    async def build(self, proposer: bytes, candidates: Iterable[Transaction]) -> Draft:
        """A block without them."""
        ready = list(candidates)
        chosen = exclude_rivals(ready, proposer)
        if len(chosen) < len(ready):
            log.warning("leaves %d of %d transactions out", len(ready) - len(chosen), len(ready))
        return await super().build(proposer, chosen)


class GrindingChain(Chain):
    """Builds many blocks when a challenge is to be fixed, and proposes the one that suits it."""

    def choose_content(
        self, context: BlockContext, candidates: tuple[Transaction, ...]
    ) -> tuple[BlockContext, Built]:
        """The content that suits it best."""
        ground = grind_block(
            self.ledger,
            context,
            candidates,
            self.genesis.parameters.max_block_bytes,
            quorum_subsets(context.last_certificate, self.ledger.last_validators()),
        )
        if ground.tries > 1:
            log.warning("tried %d blocks: %d challenges", ground.tries, ground.challenges)
        return ground.context, ground.built
