"""The kinds of liars, and how one is asked for."""

from __future__ import annotations

import re
from typing import Final

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

KINDS: Final[dict[str, str]] = {
    "copier": "commits to what a rival committed to, and opens it with what the rival shows",
    "reveal-copier": "commits to anything, and shows a rival's evidence as its own",
    "mean-publisher": "computes nothing, and claims the mean of what it last heard",
    "inflated-count": "computes a few samples, and claims as many as the task takes",
    "invented-vector": "computes nothing, and gives all value to one client",
    "partial-forger": "computes most of its samples, and makes up a tenth",
    "subtree-hider": "computes honestly, and claims too much for a part of its tree",
    "withholder": "computes honestly, commits, and never opens",
    "late-withholder": "computes honestly, opens, and never shows its leaves",
    "optional-stopper": "computes honestly, and claims the count of samples that suits it best",
    "censor": "leaves its rivals' commitments, openings and reveals out of its blocks",
    "hasty-censor": "does so, and sets its blocks' time as far ahead as is allowed",
    "challenge-grinder": "tries many blocks for a challenge by which it wins",
    "equivocator": "sends two votes for one round to different peers",
    "stale-peer": "has strangers bring old votes, transactions and blocks to its peers",
    "wrong-network": "has strangers of another network bring its votes and transactions",
}
"""What each kind of lying miner does. From ``censor`` on they compute honestly."""

_ASKED = re.compile(r"([a-z-]+)(?::([0-9]{1,4}))?", re.ASCII)


def parse_asked(text: str) -> tuple[str, int]:
    """``KIND`` or ``KIND:COUNT``. Raises Refusal BAD_ARGUMENT."""
    match = _ASKED.fullmatch(text)
    kind, count = (match[1], int(match[2] or 1)) if match else (text, 0)
    if kind not in KINDS or count < 1:
        raise RefusalError(
            ApplicationCode.BAD_ARGUMENT,
            f"--adversary is {text!r}, but it must be KIND or KIND:COUNT with a count of at least"
            f" 1, and KIND one of {', '.join(KINDS)}",
            field="adversary",
            limit=", ".join(KINDS),
        )
    return kind, count
