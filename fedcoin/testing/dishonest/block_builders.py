"""Chains of nodes that are dishonest when they propose a block."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from fedcoin.application.node.chain import Chain, Draft
from fedcoin.contract.blocks.execution import BuiltBlock
from fedcoin.contract.state.execution_context import BlockContext
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.plurals import format_count
from fedcoin.testing.dishonest.dishonest_proposals import (
    exclude_rivals,
    grind_block,
    quorum_subsets,
)

log = logging.getLogger(__name__)


class CensoringChain(Chain):
    """Leaves other miners' commitments, openings and reveals out of this node's blocks."""

    async def build(
        self,
        proposer: bytes,
        candidates: Iterable[Transaction],
        round: int = 0,
        left_out_reveals: bool = False,
    ) -> Draft:
        """Build a block without other miners' actions.

        Args:
            proposer: This node's address, 20 bytes.
            candidates: Transactions that could be in the block.
            round: The round for which it is built.
            left_out_reveals: Ignored: a censor does not say that it leaves reveals out.

        Returns:
            The block; left out transactions are not among the refused ones.
        """
        all_candidates = list(candidates)
        chosen = exclude_rivals(all_candidates, proposer)
        left_out = len(all_candidates) - len(chosen)
        if left_out:
            total = format_count(len(all_candidates), "transaction")
            log.warning("leaves %d of %s out of its block", left_out, total)
        return await super().build(proposer, chosen, round)


class GrindingChain(Chain):
    """Builds many blocks when a challenge becomes fixed; proposes one that lets this node win."""

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


class MisnamingChain(Chain):
    """Names another validator than this node as the proposer of this node's blocks."""

    def choose_content(
        self, context: BlockContext, candidates: tuple[Transaction, ...]
    ) -> tuple[BlockContext, BuiltBlock]:
        """Choose the content honestly, for a block that names the next validator.

        Args:
            context: The block's height, time, proposer and certificate.
            candidates: Transactions that could be in the block.

        Returns:
            The context with the other proposer, and the content of its block. The context is
            unchanged if this node is the only validator.
        """
        members = [validator.address for validator in self.ledger.validators()]
        others = sorted(members, key=lambda address: (address <= context.proposer, address))
        misnamed = replace(context, proposer=others[0])
        log.warning("names %s as the proposer of its block", format_address(misnamed.proposer))
        return super().choose_content(misnamed, candidates)
