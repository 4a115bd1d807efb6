"""The validator set of each height since genesis.

A header commits to the validator set of the next height. `ValidatorHistory` reads the headers of
a chain; where that hash changes, it applies the bonds that moved in the block, and the new set must
match the header. For the blocks below a snapshot, it uses the sets that the snapshot contained.

`TrustPath` follows the changes by their certificates, without blocks.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from fedcoin.consensus.certificates import verify_certificate
from fedcoin.consensus.validator_messages import decode_validators
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state.validators import genesis_validators
from fedcoin.data.crypto.addresses import derive_address
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.blocks import decode_header
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.v1.block_pb2 import PAYMENT_KIND_BOND_BURNED, Block, BlockHeader, Receipt
from fedcoin.v1.transaction_pb2 import SignedTransaction, TransactionBody


@dataclass(frozen=True, slots=True)
class ValidatorSetChange:
    """A block that changed the validator set."""

    height: int
    """The height of the block; the new set decides from the next height on."""
    validators: tuple[Validator, ...]
    """The new set, sorted by address."""


class TrustPath:
    """The validator sets from genesis on, followed by certificates alone.

    Correct while no set on the path ever signs a false chain with more than 2/3 of its power.

    Args:
        genesis: The network's genesis.
    """

    def __init__(self, genesis: Genesis) -> None:
        self._chain_id = genesis.chain_id
        self._genesis_hash = genesis.hash
        self._sets = [(1, genesis_validators(genesis))]

    @property
    def next_height(self) -> int:
        """The lowest height at which the next change can be."""
        return self._sets[-1][0]

    def validators_at(self, height: int) -> ValidatorSet:
        """Find the validator set of a height.

        Args:
            height: The height, from 1.

        Returns:
            The set after the last change below this height that was followed.
        """
        return next(found for since, found in reversed(self._sets) if since <= height)

    def check_certified(self, raw: bytes, certificate: bytes) -> BlockHeader:
        """Check that the validator set of a header's height made it final.

        Args:
            raw: The serialised header.
            certificate: The serialised certificate of that block.

        Returns:
            The decoded header, which the certificate makes final.

        Raises:
            RefusalError: MALFORMED when the header is malformed; WRONG_CHAIN when it names another
                chain; BAD_CERTIFICATE when the certificate does not make it final.
        """
        header = decode_header(raw)
        if header.chain_id != self._chain_id:
            raise RefusalError(
                DataCode.WRONG_CHAIN,
                f"header: it belongs to chain {header.chain_id!r}, not {self._chain_id!r}",
                field="header",
                limit=self._chain_id,
            )
        validators = self.validators_at(header.height)
        verify_certificate(certificate, validators, self._genesis_hash, header.height, sha256(raw))
        return header

    def follow(self, raw: bytes, certificate: bytes, validators: ValidatorSet) -> BlockHeader:
        """Follow the next change of the validator set.

        Args:
            raw: The serialised header of the block that changed the set.
            certificate: The serialised certificate of that block.
            validators: The new set, which decides from the next height on.

        Returns:
            The decoded header, which the certificate makes final.

        Raises:
            RefusalError: MALFORMED when the header is malformed or not above the previous change;
                WRONG_CHAIN when it names another chain; BAD_CERTIFICATE when the certificate does
                not make it final; WRONG_VALIDATORS_HASH when the header commits to another set.
                Then nothing has changed.
        """
        header = decode_header(raw)
        if header.height < self.next_height:
            raise RefusalError(
                DataCode.MALFORMED, "header: it is not above the previous change", field="header"
            )
        self.check_certified(raw, certificate)
        self.check_next(header, validators)
        self._sets.append((header.height + 1, validators))
        return header

    def check_next(self, header: BlockHeader, validators: ValidatorSet | None = None) -> None:
        """Check the validator set that a header commits to.

        Args:
            header: A header whose height the followed set decided.
            validators: The set to check; None checks the set that the followed changes give.

        Raises:
            RefusalError: WRONG_VALIDATORS_HASH when the header commits to another set.
        """
        if (
            validators or self.validators_at(header.height + 1)
        ).hash() != header.next_validators_hash:
            raise RefusalError(
                LedgerCode.WRONG_VALIDATORS_HASH,
                "validators: the header commits to another validator set",
                field="validators",
                limit=header.next_validators_hash.hex(),
            )


class ValidatorHistory:
    """All changes of the validator set on a chain. Several threads may use it.

    Each header is read once.

    Args:
        store: The database with the chain.
        genesis: The network's genesis.
    """

    def __init__(self, store: ChainStore, genesis: Genesis) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._height = 0
        self._members = {v.address: v for v in genesis_validators(genesis)}
        self._hash = genesis_validators(genesis).hash()
        self._changes: list[ValidatorSetChange] = []

    def changes(self, below: int) -> list[ValidatorSetChange]:
        """List the changes that blocks below a height made.

        Reads the headers that are new since the last call.

        Args:
            below: List only changes by blocks with a lower height.

        Returns:
            The changes, the lowest first.
        """
        with self._lock:
            if self._height < self._store.base_height():
                self._begin_at_base()
            for height in range(self._height + 1, min(below, self._store.height() + 1)):
                self._follow(height)
                self._height = height
            return [change for change in self._changes if change.height < below]

    def _begin_at_base(self) -> None:
        # The snapshot contained the changes below the first block that is kept.
        self._changes = []
        for past in self._store.trusted_headers():
            if past.next_validators:
                validators = decode_validators(past.next_validators)
                self._members = {v.address: v for v in validators}
                self._hash = validators.hash()
                self._changes.append(ValidatorSetChange(past.height, validators.members))
        self._height = self._store.base_height()

    def _follow(self, height: int) -> None:
        header = BlockHeader.FromString(self._store.header_bytes(height) or b"")
        if header.next_validators_hash == self._hash:
            return
        members = self._after(height)
        validators = ValidatorSet.from_members(members.values())
        if validators.hash() != header.next_validators_hash:
            raise RuntimeError(f"the bonds that moved in block {height} do not match its header")
        self._members, self._hash = members, validators.hash()
        self._changes.append(ValidatorSetChange(height, validators.members))

    def _after(self, height: int) -> dict[bytes, Validator]:
        stored = self._store.block(height)
        assert stored is not None, "a header without its block"
        bonds = {address: member.power for address, member in self._members.items()}
        keys = {address: member.public_key for address, member in self._members.items()}
        for raw in Block.FromString(stored.raw).transactions:
            envelope = SignedTransaction.FromString(raw)
            body = TransactionBody.FromString(envelope.body)
            moved = body.bond.amount - body.unbond.amount
            if moved:
                sender = derive_address(envelope.public_key)
                keys[sender] = envelope.public_key
                bonds[sender] = bonds.get(sender, 0) + moved
        for raw in self._store.receipts(height):
            payment = Receipt.FromString(raw).payment
            if payment.kind == PAYMENT_KIND_BOND_BURNED:
                # A slashed key loses its whole bond and can never bond again.
                bonds[payment.address] = 0
        return {a: Validator(a, keys[a], power) for a, power in bonds.items() if power}
