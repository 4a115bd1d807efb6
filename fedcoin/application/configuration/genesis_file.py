"""Write the genesis of a new network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import parse_genesis, render_genesis
from fedcoin.data.messages.parameters import Parameters
from fedcoin.v1 import genesis_pb2


def write_genesis(
    chain_id: str,
    time_ms: int,
    *,
    balances: Mapping[bytes, int],
    bonds: Mapping[bytes, int],
    parameters: Mapping[str, int] | None = None,
) -> bytes:
    """Encode a genesis file, and check it as a node would.

    Args:
        chain_id: The network's name.
        time_ms: The time of the genesis block, in Unix ms.
        balances: The first balances in sap, by 20-byte address.
        bonds: The first validators' bonds in sap, by 32-byte Ed25519 public key.
        parameters: The network parameters that differ from the defaults, by name.

    Returns:
        The bytes of a genesis.json.

    Raises:
        RefusalError: BAD_ARGUMENT for a parameter that does not exist, BAD_GENESIS for a value that
            the rules do not allow.
    """
    rules = dict(parameters or {})
    known = {rule.name for rule in fields(Parameters)}
    for name in rules:
        if name not in known:
            raise RefusalError(
                ApplicationCode.BAD_ARGUMENT,
                f"there is no parameter {name!r}; those that exist: {', '.join(sorted(known))}",
                field="parameter",
            )
    message = genesis_pb2.Genesis(
        chain_id=chain_id,
        time_ms=time_ms,
        parameters=genesis_pb2.Parameters(**rules),
        accounts=[
            genesis_pb2.GenesisAccount(address=format_address(address), balance=balance)
            for address, balance in balances.items()
        ],
        validators=[
            genesis_pb2.GenesisValidator(public_key=public_key.hex(), bond=bond)
            for public_key, bond in bonds.items()
        ],
    )
    raw = render_genesis(message)
    parse_genesis(raw)
    return raw
