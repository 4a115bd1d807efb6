"""The genesis of test networks."""

from __future__ import annotations

from collections.abc import Mapping

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.data.messages.genesis import Genesis, parse_genesis, render_genesis
from fedcoin.v1 import genesis_pb2

CHAIN_ID = "fedcoin-test"
GENESIS_HASH = sha256(b"fedcoin-test")
"""What signatures cover in tests without a genesis."""
OTHER_GENESIS_HASH = sha256(b"another genesis")
GENESIS_MS = 1_700_000_000_000
FDC = SAP_PER_FDC


def make_genesis(
    bonds: Mapping[KeyPair, int],
    balances: Mapping[KeyPair, int],
    *,
    chain_id: str = CHAIN_ID,
    time_ms: int = GENESIS_MS,
    **parameters: int,
) -> Genesis:
    """Make the genesis of a network.

    Args:
        bonds: The first validators and their bonds, in sap.
        balances: The first accounts and their balances, in sap.
        chain_id: The network's name.
        time_ms: The time of the genesis, in Unix ms.
        parameters: The network parameters that differ from the defaults; `min_bond` is 1 FDC.
    """
    parameters.setdefault("min_bond", FDC)
    message = genesis_pb2.Genesis(
        chain_id=chain_id,
        time_ms=time_ms,
        parameters=genesis_pb2.Parameters(**parameters),
        accounts=[
            genesis_pb2.GenesisAccount(address=format_address(key.address), balance=balance)
            for key, balance in balances.items()
        ],
        validators=[
            genesis_pb2.GenesisValidator(public_key=key.public_key.hex(), bond=bond)
            for key, bond in bonds.items()
        ],
    )
    return parse_genesis(render_genesis(message))
