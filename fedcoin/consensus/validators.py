"""The validators of a height and their voting power."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fedcoin.data.crypto.addresses import derive_address
from fedcoin.data.crypto.hashing import sha256

_CONTEXT = b"fedcoin/validators/v1\0"


@dataclass(frozen=True, slots=True)
class Validator:
    """A bonded miner, which votes."""

    address: bytes
    """The address, 20 bytes."""
    public_key: bytes
    """The Ed25519 key that it votes with, 32 bytes."""
    power: int
    """Its voting power: its bond in sap."""

    @classmethod
    def from_key(cls, public_key: bytes, power: int) -> Validator:
        """Make a validator whose address follows from its key.

        Args:
            public_key: The Ed25519 key, 32 bytes.
            power: The voting power in sap.

        Returns:
            A validator that has not been checked against a set.
        """
        return cls(derive_address(public_key), public_key, power)


@dataclass(frozen=True, slots=True)
class ValidatorSet:
    """The validators of one height, in the order of their addresses.

    An empty set is possible, when no miner is bonded; it cannot decide anything. `ValueError` is
    raised when a power is not positive, or an address or key is used twice.
    """

    members: tuple[Validator, ...]
    """In the order of their addresses."""
    total_power: int = field(init=False, compare=False)
    """The sum of all powers, in sap."""
    _by_key: dict[bytes, Validator] = field(init=False, repr=False, compare=False)
    _hash: list[bytes] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.members, key=lambda member: member.address))
        by_key = {member.public_key: member for member in ordered}
        if len(by_key) != len(ordered) or len({m.address for m in ordered}) != len(ordered):
            raise ValueError("a validator is listed twice")
        if any(member.power <= 0 for member in ordered):
            raise ValueError("a validator's power must be positive")
        object.__setattr__(self, "members", ordered)
        object.__setattr__(self, "total_power", sum(member.power for member in ordered))
        object.__setattr__(self, "_by_key", by_key)

    @classmethod
    def from_members(cls, members: Iterable[Validator]) -> ValidatorSet:
        """Make a set of validators.

        Args:
            members: The validators, in any order.

        Returns:
            The set, sorted by address.
        """
        return cls(tuple(members))

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Validator]:
        return iter(self.members)

    def by_key(self, public_key: bytes) -> Validator | None:
        """Find a validator by its key.

        Args:
            public_key: The Ed25519 key, 32 bytes.

        Returns:
            The validator, or None when none has this key.
        """
        return self._by_key.get(public_key)

    def by_address(self, address: bytes) -> Validator | None:
        """Find a validator by its address.

        Args:
            address: The address, 20 bytes.

        Returns:
            The validator, or None when none has this address.
        """
        index = self.index_from(address)
        if index < len(self.members) and self.members[index].address == address:
            return self.members[index]
        return None

    def index_from(self, address: bytes) -> int:
        """Find the first member whose address is not below a given one.

        Args:
            address: The address, 20 bytes, or empty for the first member.

        Returns:
            The index of that member; the number of members when all addresses are below.
        """
        return bisect_left(self.members, address, key=lambda member: member.address)

    def has_quorum(self, power: int) -> bool:
        """Tell whether a power is more than two thirds of the total (2f + 1 in the literature).

        Args:
            power: The power of some validators together, in sap.

        Returns:
            True when 3 times the power is more than 2 times the total.
        """
        return 3 * power > 2 * self.total_power

    def has_correct(self, power: int) -> bool:
        """Tell whether validators with this power include a correct one (f + 1 in the literature).

        Less than a third of the total power may be faulty.

        Args:
            power: The power of the validators together, in sap.

        Returns:
            True when it is at least a third of the total.
        """
        return power > 0 and 3 * power >= self.total_power

    def hash(self) -> bytes:
        """Compute the hash that a header commits to.

        It is SHA-256 over "fedcoin/validators/v1", 00, the number of validators (4 bytes), then
        for each, in the order of addresses, its public key (32 bytes) and its power (8 bytes).
        Numbers are big-endian. The addresses follow from the keys.

        Returns:
            The hash, 32 bytes.
        """
        if self._hash:
            return self._hash[0]
        parts = [_CONTEXT, len(self.members).to_bytes(4, "big")]
        for member in self.members:
            parts += (member.public_key, member.power.to_bytes(8, "big"))
        self._hash[:] = [sha256(*parts)]
        return self._hash[0]
