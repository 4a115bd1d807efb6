"""Who may vote on a height, and with which power."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fedcoin.data.crypto.addresses import derive_address
from fedcoin.data.crypto.hashing import sha256

_CONTEXT = b"fedcoin/validators/v1\0"


@dataclass(frozen=True, slots=True)
class Validator:
    """A bonded miner: 20-byte address, 32-byte Ed25519 key, and its bond in sap as its power."""

    address: bytes
    public_key: bytes
    power: int

    @classmethod
    def from_key(cls, public_key: bytes, power: int) -> Validator:
        """The validator with this key; its address follows from the key."""
        return cls(derive_address(public_key), public_key, power)


@dataclass(frozen=True, slots=True)
class ValidatorSet:
    """The validators of one height, each once, in the order of their addresses.

    Raises `ValueError` when a power is not positive, or an address or key stands twice.
    The empty set exists (nobody is bonded); it can decide nothing.
    """

    members: tuple[Validator, ...]
    total_power: int = field(init=False, compare=False)
    _by_key: dict[bytes, Validator] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.members, key=lambda member: member.address))
        by_key = {member.public_key: member for member in ordered}
        if len(by_key) != len(ordered) or len({m.address for m in ordered}) != len(ordered):
            raise ValueError("a validator stands twice in the set")
        if any(member.power <= 0 for member in ordered):
            raise ValueError("a validator's power must be positive")
        object.__setattr__(self, "members", ordered)
        object.__setattr__(self, "total_power", sum(member.power for member in ordered))
        object.__setattr__(self, "_by_key", by_key)

    @classmethod
    def from_members(cls, members: Iterable[Validator]) -> ValidatorSet:
        """The set of these validators, in whatever order they come."""
        return cls(tuple(members))

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Validator]:
        return iter(self.members)

    def by_key(self, public_key: bytes) -> Validator | None:
        """The validator with this public key, if it is one."""
        return self._by_key.get(public_key)

    def by_address(self, address: bytes) -> Validator | None:
        """The validator with this address, if it is one."""
        index = self.index_from(address)
        if index < len(self.members) and self.members[index].address == address:
            return self.members[index]
        return None

    def index_from(self, address: bytes) -> int:
        """The index of the first member whose address is not below this; may be the length."""
        return bisect_left(self.members, address, key=lambda member: member.address)

    def has_quorum(self, power: int) -> bool:
        """Is this more than two thirds of the power (2f + 1 in the literature)?"""
        return 3 * power > 2 * self.total_power

    def has_correct(self, power: int) -> bool:
        """Must a correct validator be behind this power (f + 1 in the literature)?

        So it is from a third on, as less than a third may be faulty.
        """
        return power > 0 and 3 * power >= self.total_power

    def hash(self) -> bytes:
        """What a header commits to, 32 bytes.

        SHA-256 over "fedcoin/validators/v1", 00, the number of validators (4 bytes), then for
        each in the order of the addresses its public key (32 bytes) and its power (8 bytes);
        numbers big-endian. The addresses follow from the keys.
        """
        parts = [_CONTEXT, len(self.members).to_bytes(4, "big")]
        for member in self.members:
            parts += (member.public_key, member.power.to_bytes(8, "big"))
        return sha256(*parts)
