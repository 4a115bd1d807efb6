"""Who decided which height, ever since genesis: told from blocks, not from the latest state.

A header commits to the validators of the next height. Where that hash changes, the bonds that moved
in the block are looked up and the set is made anew; it must hash to what the header says.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.data.addresses import address_of
from fedcoin.data.genesis import Genesis
from fedcoin.data.store import ChainStore
from fedcoin.v1.block_pb2 import PAYMENT_KIND_BOND_BURNED, Block, BlockHeader, Receipt
from fedcoin.v1.transaction_pb2 import SignedTransaction, TransactionBody


@dataclass(frozen=True, slots=True)
class Change:
    """The block at ``height`` changed who decides: these do, from the next height on."""

    height: int
    validators: tuple[Validator, ...]
    """By address."""


def genesis_validators(genesis: Genesis) -> ValidatorSet:
    """Who decides height 1."""
    return ValidatorSet.of(Validator.of(key, bond) for key, bond in genesis.validators)


class ValidatorHistory:
    """All changes of validators on a chain; reads each header once. Usable from several threads."""

    def __init__(self, store: ChainStore, genesis: Genesis) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._height = 0
        self._members = {v.address: v for v in genesis_validators(genesis)}
        self._hash = genesis_validators(genesis).hash()
        self._changes: list[Change] = []

    def changes(self, below: int) -> list[Change]:
        """The changes that blocks below a height made, the lowest first.

        Reads the headers that are new since the last call, up to the one below `below`.
        """
        with self._lock:
            for height in range(self._height + 1, min(below, self._store.height() + 1)):
                self._follow(height)
                self._height = height
            return [change for change in self._changes if change.height < below]

    def _follow(self, height: int) -> None:
        header = BlockHeader.FromString(self._store.header_bytes(height) or b"")
        if header.next_validators_hash == self._hash:
            return
        members = self._after(height)
        validators = ValidatorSet.of(members.values())
        if validators.hash() != header.next_validators_hash:
            raise RuntimeError(f"the bonds that moved in block {height} do not explain its header")
        self._members, self._hash = members, validators.hash()
        self._changes.append(Change(height, validators.members))

    def _after(self, height: int) -> dict[bytes, Validator]:
        stored = self._store.block(height)
        assert stored is not None, "a header without its block"
        bonds = {address: member.power for address, member in self._members.items()}
        keys = {address: member.public_key for address, member in self._members.items()}
        for raw in Block.FromString(stored.raw).transactions:
            envelope = SignedTransaction.FromString(raw)
            body, sender = (
                TransactionBody.FromString(envelope.body),
                address_of(envelope.public_key),
            )
            moved = body.bond.amount - body.unbond.amount
            if moved:
                keys[sender] = envelope.public_key
                bonds[sender] = bonds.get(sender, 0) + moved
        for raw in self._store.receipts(height):
            payment = Receipt.FromString(raw).payment
            if payment.kind == PAYMENT_KIND_BOND_BURNED:
                # A slashed key has nothing left, and never bonds again.
                bonds[payment.address] = 0
        return {a: Validator(a, keys[a], power) for a, power in bonds.items() if power}
