"""The kinds of dishonest miners that a devnet can start, read from `dishonest_miners.json`.

The file names each kind, what it does, and the module that runs it as a process. Nothing in the
product imports that module.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

_ARGUMENT = re.compile(r"([a-z-]+)(?::([0-9]{1,4}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class DishonestMiners:
    """The content of `dishonest_miners.json`."""

    # `python -m MODULE KIND --home DIR` runs a dishonest node.
    module: str
    # What a miner of each kind does, by the kind's name; a clause without a subject.
    kinds: Mapping[str, str]


@functools.cache
def load_dishonest_miners() -> DishonestMiners:
    """Read the kinds from the package's data file, once in a process."""
    file = resources.files("fedcoin.application.devnet") / "dishonest_miners.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    return DishonestMiners(content["module"], content["kinds"])


def parse_adversary(text: str) -> tuple[str, int]:
    """Parse the value of `devnet --adversary`.

    Args:
        text: `KIND` or `KIND:COUNT`.

    Returns:
        The kind's name, and how many miners are of this kind (1 where no count is given).

    Raises:
        RefusalError: BAD_ARGUMENT when there is no such kind, or the count is not from 1 to 9999.
    """
    kinds = load_dishonest_miners().kinds
    match = _ARGUMENT.fullmatch(text)
    kind, count = (match[1], int(match[2] or 1)) if match else (text, 0)
    if kind not in kinds or count < 1:
        raise RefusalError(
            ApplicationCode.BAD_ARGUMENT,
            f"--adversary is {text!r}, but it must be KIND or KIND:COUNT with a count of at least"
            f" 1, and KIND one of {', '.join(kinds)}",
            field="adversary",
            limit=", ".join(kinds),
        )
    return kind, count
