"""The order in which validators propose: by priorities, so that turns go by power.

This is the proposer priority of Tendermint (arXiv:1807.04938, and CometBFT's
`IncrementProposerPriority`). Each validator has a priority, an integer. One turn:

1. scale: if max - min > 2 P, divide all priorities by ceil((max - min) / (2 P)), towards zero
2. centre: subtract floor(mean) from all priorities
3. raise each priority by the validator's power
4. the validator with the highest priority has the turn; ties go to the lowest address
5. lower that validator's priority by P

P is the total power. Over many turns a validator has its share of the power in turns, however a
bond is split. The priorities after a height are part of the ledger's state.

Powers count in units of 1 sap, or of 2, 4 or 8 sap where the total is 2^60 sap or more, so that
every priority fits into 64 bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from fedcoin.consensus.validators import Validator, ValidatorSet

MAX_DISTINCT_ROUNDS: Final = 1_024
"""The number of rounds of one height after which the order of their proposers repeats. So a message
that names a far round costs a bounded computation."""

_MAX_TOTAL_BITS = 60


@dataclass(frozen=True, slots=True)
class ProposerOrder:
    """The proposers of all rounds of one height.

    Usable from several threads. `ValueError` is raised when there is not one priority for each
    validator.
    """

    validators: ValidatorSet
    """The validators of the height."""
    priorities: tuple[int, ...]
    """Their priorities before round 0, in the order of their addresses."""
    winner: bytes = b""
    """The address that has the turn of round 0 whatever its priority, because the height settles
    the task that it won; empty at other heights. An address that is not a validator is ignored."""
    _proposers: list[Validator] = field(default_factory=list, repr=False, compare=False)
    _after: list[list[int]] = field(default_factory=list, repr=False, compare=False)
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.priorities) != len(self.validators):
            raise ValueError(
                f"{len(self.priorities)} priorities for {len(self.validators)} validators"
            )

    @classmethod
    def first(cls, validators: ValidatorSet) -> ProposerOrder:
        """Make the order of the first height, at which all priorities are 0.

        Args:
            validators: The validators of the first height.

        Returns:
            An order in which no validator has had a turn.
        """
        return cls(validators, (0,) * len(validators))

    def proposer(self, round: int) -> Validator:
        """Find the proposer of a round.

        Args:
            round: The round of this height, from 0.

        Returns:
            The validator that may propose in this round.

        Raises:
            ValueError: When there are no validators.
        """
        if not self.validators.members:
            raise ValueError("without validators there is no proposer")
        turn = round % MAX_DISTINCT_ROUNDS
        with self._lock:
            while len(self._proposers) <= turn:
                self._take_turn()
            return self._proposers[turn]

    def next_height(
        self,
        validators: ValidatorSet,
        winner: bytes = b"",
        remembered: Mapping[bytes, int] | None = None,
    ) -> ProposerOrder:
        """Make the order of the next height.

        The turn of round 0 is charged, also when a later round's proposer made the block. So a
        validator that is silent loses its turn, and a winner does not propose more often than its
        power allows. A newcomer starts 9/8 of the total power behind, so that it gains nothing by
        leaving and coming back.

        Args:
            validators: The validators of the next height.
            winner: The address that has round 0 of the next height; empty if none has.
            remembered: Priorities that validators of the next height had when they left, by
                address. Such a validator starts no further ahead than it left.

        Returns:
            A new order; this one is not changed.
        """
        if not validators.members:
            return ProposerOrder(validators, ())
        kept = dict(remembered or {})
        behind = -(_total(validators) + (_total(validators) >> 3))
        old = self.priorities_after()
        priorities = [
            old[v.address] if v.address in old else min(behind, kept.get(v.address, behind))
            for v in validators
        ]
        return ProposerOrder(validators, tuple(_normalised(priorities, validators)), winner)

    def priorities_after(self) -> dict[bytes, int]:
        """Compute the priorities after this height, for the same validators.

        Returns:
            Priorities by address.
        """
        if not self.validators.members:
            return {}
        self.proposer(0)
        addresses = (member.address for member in self.validators)
        return dict(zip(addresses, self._after[0], strict=True))

    def _take_turn(self) -> None:
        members = self.validators.members
        before = self._after[-1] if self._after else self.priorities
        priorities = _normalised(before, self.validators)
        unit = _unit(self.validators)
        priorities = [p + m.power // unit for p, m in zip(priorities, members, strict=True)]
        chosen = max(range(len(members)), key=priorities.__getitem__)
        if not self._proposers:
            winners = (i for i, member in enumerate(members) if member.address == self.winner)
            chosen = next(winners, chosen)
        priorities[chosen] -= _total(self.validators)
        self._proposers.append(members[chosen])
        # Only the first turn and the latest are needed: the charge, and where to go on.
        del self._after[1:]
        self._after.append(priorities)


def _unit(validators: ValidatorSet) -> int:
    return 1 << max(0, validators.total_power.bit_length() - _MAX_TOTAL_BITS)


def _total(validators: ValidatorSet) -> int:
    # The sum of the rounded powers, so that a turn keeps the sum of the priorities.
    unit = _unit(validators)
    if unit == 1:
        return validators.total_power
    return sum(member.power // unit for member in validators)


def _normalised(priorities: Sequence[int], validators: ValidatorSet) -> list[int]:
    """Scale and centre priorities: the first two steps of a turn."""
    spread = max(priorities) - min(priorities)
    divisor = -(-spread // (2 * _total(validators)))
    if divisor > 1:
        priorities = [p // divisor if p >= 0 else -(-p // divisor) for p in priorities]
    mean = sum(priorities) // len(priorities)
    return [p - mean for p in priorities]
