"""Full blocks of bonds: newcomers who displace each other, parts that unbond, burned bonds."""

from __future__ import annotations

from collections.abc import Iterator

from fedcoin.contract.actions.bonds import MAX_UNBONDINGS
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.messages.votes import PREVOTE, sign_vote
from fedcoin.v1.transaction_pb2 import Bond, ReportEquivocation, Unbond
from scripts.benchmarks.block_cost.cost_allowance import BlockCost
from scripts.benchmarks.block_cost.measured_chain import MeasuredChain, Scale
from tests.support.genesis import FDC
from tests.support.keys import ALICE, key_of

_BOND_BYTES = 130
"""Less than a transaction with a bond takes."""


def measure_bonds(scale: Scale) -> Iterator[BlockCost]:
    """Measure blocks of bonds with a full set of validators.

    Args:
        scale: The sizes.

    Yields:
        The cost of each block.
    """
    names = [f"newcomer {i}" for i in range(scale.block_bytes // _BOND_BYTES)]
    keys = [key_of(name) for name in names]
    with MeasuredChain.begin(scale, validators=scale.miners, users=names) as chain:
        chain.keys |= {key.address: key for key in keys}
        chain.produce()
        bonds = (chain.sign(key, Bond(amount=10 * FDC + 1 + i)) for i, key in enumerate(keys))
        yield chain.measure("bonds that displace each other", bonds)
        chain.produce()
        yield chain.measure("no transactions, while these bonds unbond")
        unbonding_ms = chain.genesis.parameters.unbonding_ms
        yield chain.measure("all displaced bonds return", after_ms=unbonding_ms + 1)
    with MeasuredChain.begin(scale, validators=scale.miners) as chain:
        for _ in range(3):
            chain.produce()
        yield chain.measure("parts of bonds unbond", _unbonds(chain))
        unbonding_ms = chain.genesis.parameters.unbonding_ms
        yield chain.measure("all parts return", after_ms=unbonding_ms + 1)
    with MeasuredChain.begin(scale, validators=scale.miners) as chain:
        for _ in range(3):
            chain.produce()
        yield chain.measure("reports of conflicting votes", report_conflicts(chain))


def _unbonds(chain: MeasuredChain) -> Iterator[Transaction]:
    for ahead in range(MAX_UNBONDINGS):
        for miner in chain.miners:
            yield chain.sign(miner, Unbond(amount=1_000 + ahead), ahead=ahead)


def report_conflicts(chain: MeasuredChain) -> Iterator[Transaction]:
    """Sign Alice's reports of conflicting votes by all validators but one.

    Args:
        chain: The chain, whose height is 2 or more.

    Yields:
        The transactions, in order.
    """
    # One validator must remain.
    for ahead, miner in enumerate(chain.miners[:-1]):
        first, second = (
            sign_vote(PREVOTE, 2, 0, sha256(name), miner, chain.genesis.hash).envelope
            for name in (b"a", b"b")
        )
        yield chain.sign(ALICE, ReportEquivocation(first=first, second=second), ahead=ahead)
