"""Chains of nodes that are dishonest when they propose a block."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from fedcoin.application.node.chain import Chain, Draft
from fedcoin.contract.blocks.ledger import BuiltBlock
from fedcoin.contract.state.execution_context import BlockContext
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.plurals import format_count
from fedcoin.testing.dishonest.dishonest_proposals import (
    exclude_rivals,
    grind_block,
    quorum_subsets,
)

log = logging.getLogger(__name__)


class CensoringChain(Chain):
    """Leave other miners' commitments, openings and reveals out of this node's blocks."""

    async def build(self, proposer: bytes, candidates: Iterable[Transaction]) -> Draft:
        """Build a block without other miners' actions.

        Args:
            proposer: This node's address, 20 bytes.
            candidates: Transactions that could be in the block.

        Returns:
            The block; left out transactions are not among the refused ones.
        """
        all_candidates = list(candidates)
        chosen = exclude_rivals(all_candidates, proposer)
        left_out = len(all_candidates) - len(chosen)
        if left_out:
            total = format_count(len(all_candidates), "transaction")
            log.warning("leaves %d of %s out of its block", left_out, total)
        return await super().build(proposer, chosen)


class GrindingChain(Chain):
    """Build many blocks when a challenge becomes fixed, and propose one that lets this node win."""

    def choose_content(
        self, context: BlockContext, candidates: tuple[Transaction, ...]
    ) -> tuple[BlockContext, BuiltBlock]:
        """Choose the content whose challenge suits this node best.

        Args:
            context: The block's height, time, proposer and certificate.
            candidates: Transactions that could be in the block.

        Returns:
            The context and content of the best block.
        """
        ground = grind_block(
            self.ledger,
            context,
            candidates,
            self.genesis.parameters.max_block_bytes,
            quorum_subsets(context.last_certificate, self.ledger.last_validators()),
        )
        if ground.tries > 1:
            challenges = format_count(ground.challenges, "challenge")
            log.warning("tried %d blocks: %s", ground.tries, challenges)
        return ground.context, ground.built
