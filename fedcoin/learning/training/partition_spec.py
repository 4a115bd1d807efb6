"""How the training data of one data set are divided among clients, and how this is written.

A specification is one division and any number of changes, joined by `+`, such as
`dirichlet:0.3+label-noise:0..0.4+copies:2`. `partitions` draws the division.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode


class Division(str, Enum):
    """How examples are divided, by the name that specifications use."""

    LINEAR = "linear"
    """Drawn at random; sizes grow evenly, to three times the first share's."""
    IID = "iid"
    """Drawn at random; equal sizes."""
    QUANTITY = "quantity"
    """Drawn at random; lognormal sizes, the parameter being the deviation of their logarithm."""
    DIRICHLET = "dirichlet"
    """Each class is divided by a symmetric Dirichlet draw, whose concentration is the parameter."""
    LABELS = "labels"
    """Each client holds as many classes as the parameter says."""
    TYPES = "types"
    """As many types of clients as the parameter says, in order; type t lacks t of the classes."""


@dataclass(frozen=True, slots=True)
class NoiseRange:
    """A strength of noise that grows evenly from the first client to the last.

    Its unit is that of the field of `Partition` that holds it.
    """

    first: float = 0.0
    """The first client's strength."""
    last: float = 0.0
    """The last client's strength."""

    def at(self, index: int, num_clients: int) -> float:
        """Return a client's strength of noise.

        Args:
            index: The client's index, from 0.
            num_clients: How many clients there are.

        Returns:
            A value from `first` to `last`; `first` for a client that is alone.
        """
        return self.first + (self.last - self.first) * index / max(1, num_clients - 1)

    def __str__(self) -> str:
        """Write it as in a specification."""
        first, last = _format_number(self.first), _format_number(self.last)
        return first if self.first == self.last else f"{first}..{last}"


NO_NOISE = NoiseRange()
"""Strength 0 for every client."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A division of training data among clients, and what is changed in the shares."""

    division: Division = Division.LINEAR
    """How the examples are divided."""
    parameter: float = 0.0
    """The division's parameter (see `Division`); 0 where it has none."""
    copies: int = 1
    """This many clients in a row hold the same examples."""
    max_examples: int = 0
    """The largest number of examples of a share; 0 for any number."""
    label_noise: NoiseRange = NO_NOISE
    """The fraction of wrong labels, 0 to 1."""
    feature_noise: NoiseRange = NO_NOISE
    """The standard deviation of Gaussian noise that is added to inputs, which are 0 to 1."""

    def __str__(self) -> str:
        """Write the specification that `parse_partition` reads."""
        parts = [self.division.value]
        if self.division in _PARAMETERS:
            parts = [f"{self.division.value}:{_format_number(self.parameter)}"]
        parts += [f"size:{self.max_examples}"] if self.max_examples else []
        parts += [f"copies:{self.copies}"] if self.copies > 1 else []
        parts += [f"label-noise:{self.label_noise}"] if self.label_noise != NO_NOISE else []
        parts += [f"feature-noise:{self.feature_noise}"] if self.feature_noise != NO_NOISE else []
        return "+".join(parts)


LINEAR = Partition()
"""The division that is used where none is asked for."""

FORMS = (
    "linear, iid, quantity:SIGMA, dirichlet:ALPHA, labels:N or types:N, and any of size:N, "
    "copies:N, label-noise:F and feature-noise:S, joined by +"
)
"""The grammar, for help texts and errors."""


@dataclass(frozen=True, slots=True)
class _Bounds:
    low: float
    high: float
    is_whole: bool = False

    def __str__(self) -> str:
        kind = "a whole number" if self.is_whole else "a number"
        return f"{kind} from {self.low:g} to {self.high:g}"


_MAX_COUNT = 1_000_000
_PARAMETERS = {
    Division.QUANTITY: _Bounds(0.0, 5.0),
    Division.DIRICHLET: _Bounds(0.001, 1e6),
    Division.LABELS: _Bounds(1, _MAX_COUNT, is_whole=True),
    Division.TYPES: _Bounds(1, _MAX_COUNT, is_whole=True),
}
_COUNTS = {
    "size": _Bounds(1, _MAX_COUNT, is_whole=True),
    "copies": _Bounds(1, _MAX_COUNT, is_whole=True),
}
_NOISES = {"label-noise": _Bounds(0.0, 1.0), "feature-noise": _Bounds(0.0, 100.0)}
_DIVISIONS = {division.value: division for division in Division}
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)


def parse_partition(text: str) -> Partition:
    """Read a specification.

    Args:
        text: One division, or none for `linear`, and changes, joined by `+`; each at most once.

    Returns:
        The partition.

    Raises:
        RefusalError: BAD_PARTITION when a part is unknown or appears twice, or when its value is
            missing, superfluous or out of range.
    """
    partition = LINEAR
    named: set[str] = set()
    for part in text.split("+"):
        name, colon, value = part.partition(":")
        kind = "division" if name in _DIVISIONS else name
        if kind in named:
            raise _bad_spec(text, f"has more than one {kind}", "give each at most once")
        named.add(kind)
        partition = _add_part(partition, text, name, value if colon else None)
    return partition


def _add_part(partition: Partition, text: str, name: str, value: str | None) -> Partition:
    if name in _DIVISIONS:
        division = _DIVISIONS[name]
        bounds = _PARAMETERS.get(division)
        if bounds is None:
            if value is not None:
                raise _bad_spec(text, f"gives {name} the value {value!r}", f"{name} takes none")
            return replace(partition, division=division)
        return replace(
            partition, division=division, parameter=_parse_number(text, name, value, bounds)
        )
    if name in _COUNTS:
        count = int(_parse_number(text, name, value, _COUNTS[name]))
        if name == "copies":
            return replace(partition, copies=count)
        return replace(partition, max_examples=count)
    if name in _NOISES:
        noise = _parse_range(text, name, value, _NOISES[name])
        if name == "label-noise":
            return replace(partition, label_noise=noise)
        return replace(partition, feature_noise=noise)
    raise _bad_spec(text, f"has the unknown part {name!r}", f"use {FORMS}")


def _parse_range(text: str, name: str, value: str | None, bounds: _Bounds) -> NoiseRange:
    first, dots, last = (value or "").partition("..")
    low = _parse_number(text, name, first, bounds)
    return NoiseRange(low, _parse_number(text, name, last, bounds) if dots else low)


def _parse_number(text: str, name: str, value: str | None, bounds: _Bounds) -> float:
    number = float(value) if value and _NUMBER.fullmatch(value) else None
    is_bad = number is None or not bounds.low <= number <= bounds.high
    if number is None or is_bad or (bounds.is_whole and not number.is_integer()):
        given = "no value" if value is None else f"the value {value!r}"
        raise _bad_spec(text, f"gives {name} {given}", f"it must be {bounds}")
    return number


def _format_number(number: float) -> str:
    return f"{number:.9f}".rstrip("0").rstrip(".")


def _bad_spec(text: str, fault: str, remedy: str) -> RefusalError:
    return RefusalError(
        LearningCode.BAD_PARTITION,
        f"the partition {text!r} {fault}; {remedy}",
        field="partition",
        limit=FORMS,
    )
