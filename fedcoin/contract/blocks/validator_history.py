"""Who decided which height, ever since genesis: told from blocks, not from the latest state.

A header commits to the validators of the next height. Where that hash changes, the bonds that moved
in the block are looked up and the set is made anew; it must hash to what the header says. What a
chain that began from a snapshot lacks of its blocks, the snapshot told.

Who has no blocks at all follows the changes by their certificates (`TrustPath`).
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
    """The block at ``height`` changed who decides: these do, from the next height on."""

    height: int
    validators: tuple[Validator, ...]
    """By address."""


class TrustPath:
    """Who decided which height, followed by certificates alone, from genesis.

    Right as long as of no set of validators on the way more than two thirds ever sign a false
    chain.
    """

    def __init__(self, genesis: Genesis) -> None:
        self._chain_id = genesis.chain_id
        self._sets = [(1, genesis_validators(genesis))]

    @property
    def next_height(self) -> int:
        """The least height at which the next change can be."""
        return self._sets[-1][0]

    def validators_at(self, height: int) -> ValidatorSet:
        """Who decides a height, as far as was followed."""
        return next(found for since, found in reversed(self._sets) if since <= height)

    def certified(self, raw: bytes, certificate: bytes) -> BlockHeader:
        """A serialised header that those who decide its height made final.

        Raises Refusal: MALFORMED, WRONG_CHAIN, BAD_CERTIFICATE.
        """
        header = decode_header(raw)
        if header.chain_id != self._chain_id:
            raise RefusalError(
                DataCode.WRONG_CHAIN,
                f"header: it is of chain {header.chain_id!r}, not {self._chain_id!r}",
                field="header",
                limit=self._chain_id,
            )
        validators = self.validators_at(header.height)
        verify_certificate(certificate, validators, self._chain_id, header.height, sha256(raw))
        return header

    def follow(self, raw: bytes, certificate: bytes, validators: ValidatorSet) -> BlockHeader:
        """Take the next change: from the height after this header on, these decide.

        Raises Refusal as `certified` does, MALFORMED when it is not above the change before,
        and WRONG_VALIDATORS_HASH when the header names others. Then nothing has changed.
        """
        header = decode_header(raw)
        if header.height < self.next_height:
            raise RefusalError(
                DataCode.MALFORMED, "header is not above the change before", field="header"
            )
        self.certified(raw, certificate)
        self.check_next(header, validators)
        self._sets.append((header.height + 1, validators))
        return header

    def check_next(self, header: BlockHeader, validators: ValidatorSet | None = None) -> None:
        """These, or else those that were followed to, decide the height after a header.

        Raises Refusal WRONG_VALIDATORS_HASH.
        """
        if (
            validators or self.validators_at(header.height + 1)
        ).hash() != header.next_validators_hash:
            raise RefusalError(
                LedgerCode.WRONG_VALIDATORS_HASH,
                "validators: they are not those that the header commits to",
                field="validators",
                limit=header.next_validators_hash.hex(),
            )


class ValidatorHistory:
    """All changes of validators on a chain; reads each header once. Usable from several threads."""

    def __init__(self, store: ChainStore, genesis: Genesis) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._height = 0
        self._members = {v.address: v for v in genesis_validators(genesis)}
        self._hash = genesis_validators(genesis).hash()
        self._changes: list[ValidatorSetChange] = []

    def changes(self, below: int) -> list[ValidatorSetChange]:
        """The changes that blocks below a height made, the lowest first.

        Reads the headers that are new since the last call, up to the one below `below`.
        """
        with self._lock:
            if self._height < self._store.base_height():
                self._begin_at_base()
            for height in range(self._height + 1, min(below, self._store.height() + 1)):
                self._follow(height)
                self._height = height
            return [change for change in self._changes if change.height < below]

    def _begin_at_base(self) -> None:
        """What came before the first block that is kept, the snapshot told."""
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
            raise RuntimeError(f"the bonds that moved in block {height} do not explain its header")
        self._members, self._hash = members, validators.hash()
        self._changes.append(ValidatorSetChange(height, validators.members))

    def _after(self, height: int) -> dict[bytes, Validator]:
        stored = self._store.block(height)
        assert stored is not None, "a header without its block"
        bonds = {address: member.power for address, member in self._members.items()}
        keys = {address: member.public_key for address, member in self._members.items()}
        for raw in Block.FromString(stored.raw).transactions:
            envelope = SignedTransaction.FromString(raw)
            body, sender = (
                TransactionBody.FromString(envelope.body),
                derive_address(envelope.public_key),
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
