"""What a client's own program says of a training with differential privacy, in a file.

```
{"clip": 1.0, "noise_multiplier": 1.1, "sampling_rate": 0.05, "steps": 400}
```

Nobody verifies it, as nobody verifies the built-in trainer's: the client's claim rests on it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fedcoin.learning.training.private_sgd import PrivacySettings, SampledSteps

PRIVACY_FILE: Final = "privacy.json"
"""The file's name in the folder of a round."""

_MAX_BYTES: Final = 10_000
_BOUNDS: Final = {
    "clip": (1e-6, 1e9),
    "noise_multiplier": (1e-6, 1e6),
    "sampling_rate": (1e-12, 1.0),
    "steps": (1, 10**9),
}


@dataclass(frozen=True, slots=True)
class ProgramPrivacy:
    """One training by DP-SGD, as the program that did it describes it."""

    settings: PrivacySettings
    """Clipping and noise."""
    steps: SampledSteps
    """The number of steps, and the probability with which one takes an example."""


def read_program_privacy(path: Path) -> ProgramPrivacy:
    """Read what a program says of its training.

    Args:
        path: The file that it wrote.

    Returns:
        Clipping, noise and steps, all within their ranges.

    Raises:
        ValueError: The file is missing or no such JSON object, or a number is out of its range;
            the message is the end of a sentence about the program.
    """
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_MAX_BYTES))
    except FileNotFoundError:
        raise ValueError(
            f"wrote no {path.name}, which --claim-privacy asks for: clip, noise_multiplier, "
            "sampling_rate and steps of its training"
        ) from None
    except (OSError, ValueError) as error:
        raise ValueError(f"wrote a {path.name} that cannot be read: {error}") from error
    if not isinstance(content, dict) or set(content) != set(_BOUNDS):
        raise ValueError(
            f"wrote a {path.name} that is not a JSON object with exactly {', '.join(_BOUNDS)}"
        )
    numbers = {name: _check(path, name, content[name]) for name in _BOUNDS}
    return ProgramPrivacy(
        PrivacySettings(numbers["clip"], numbers["noise_multiplier"]),
        SampledSteps(numbers["sampling_rate"], int(numbers["steps"])),
    )


def _check(path: Path, name: str, value: Any) -> float:
    low, high = _BOUNDS[name]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    is_whole = name != "steps" or isinstance(value, int)
    if not (is_number and is_whole and low <= value <= high):
        kind = "a whole number" if name == "steps" else "a number"
        raise ValueError(
            f"wrote {name} {value!r} to {path.name}; it must be {kind} from {low:g} to {high:g}"
        )
    return float(value)
