"""Full blocks of transfers: plain ones, to new accounts, of one sender, of accounts of 16 keys."""

from __future__ import annotations

from collections.abc import Iterator

from fedcoin.contract.actions.transfers import MAX_OUTPUTS
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.key_policies import MAX_KEYS, make_policy
from fedcoin.data.messages.transactions import Transaction
from fedcoin.v1.transaction_pb2 import Transfer, TransferOutput
from scripts.benchmarks.block_cost.cost_allowance import BlockCost
from scripts.benchmarks.block_cost.measured_chain import MeasuredChain, Scale
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, key_of
from tests.support.shared_accounts import members_of, sign_on


def measure_plain(scale: Scale) -> BlockCost:
    """Measure a block of transfers between accounts that exist, each sender in turn.

    Args:
        scale: The sizes.

    Returns:
        The block's cost, from which the prices of bytes and signatures follow.
    """
    names = [f"payer {i}" for i in range(scale.payers)]
    keys = [key_of(name) for name in names]

    def transfers(chain: MeasuredChain) -> Iterator[Transaction]:
        for i in range(scale.block_bytes):
            recipient = keys[(i + 1) % len(keys)].address
            action = Transfer(outputs=[TransferOutput(recipient=recipient, amount=FDC)])
            yield chain.sign(keys[i % len(keys)], action, ahead=i // len(keys))

    with MeasuredChain.begin(scale, users=names) as chain:
        chain.produce()
        return chain.measure("plain transfers", transfers(chain))


def measure_transfers(scale: Scale) -> Iterator[BlockCost]:
    """Measure the dearer blocks of transfers.

    Args:
        scale: The sizes.

    Yields:
        The cost of each block.
    """
    with MeasuredChain.begin(scale) as chain:
        chain.produce()
        yield chain.measure("transfers of one sender", _of_one_sender(chain))
        yield chain.measure(f"transfers to {MAX_OUTPUTS} new accounts each", _to_new(chain))
        members = members_of(MAX_KEYS)
        policy = make_policy(MAX_KEYS, [key.public_key for key in members])
        output = TransferOutput(recipient=policy.address, amount=1_000 * FDC)
        chain.produce(chain.sign(ALICE, Transfer(outputs=[output])))
        back = Transfer(outputs=[TransferOutput(recipient=BOB.address, amount=1)])
        signed = (
            sign_on(chain, back, policy=policy, signers=members, nonce=i)
            for i in range(scale.block_bytes)
        )
        yield chain.measure(f"transfers that {MAX_KEYS} of {MAX_KEYS} keys sign", signed)


def _of_one_sender(chain: MeasuredChain) -> Iterator[Transaction]:
    action = Transfer(outputs=[TransferOutput(recipient=BOB.address, amount=FDC)])
    for i in range(chain.scale.block_bytes):
        yield chain.sign(ALICE, action, ahead=i)


def _to_new(chain: MeasuredChain) -> Iterator[Transaction]:
    for i in range(chain.scale.block_bytes):
        recipients = (sha256(b"new %d" % (i * MAX_OUTPUTS + j))[:20] for j in range(MAX_OUTPUTS))
        outputs = [TransferOutput(recipient=recipient, amount=1) for recipient in recipients]
        yield chain.sign(ALICE, Transfer(outputs=outputs), ahead=i)
