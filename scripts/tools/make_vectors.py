"""Write the golden vectors of everything that is hashed, signed or measured: tests/vectors/*.json.

    python -m scripts.tools.make_vectors

Tests read them. If a vector changes, the bytes of the protocol have changed, and all nodes of a
network must change at once.
"""

from __future__ import annotations

import json
from pathlib import Path

from scripts.tools.vectors import (
    artifacts,
    crypto,
    encodings,
    measures,
    policy_transactions,
    proofs,
    transactions,
    votes_and_blocks,
)

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "vectors"

VECTORS = {
    "hashing": crypto.hashing,
    "merkle": crypto.merkle_trees,
    "addresses": crypto.addresses,
    "bad_addresses": crypto.bad_addresses,
    "keys": crypto.keys,
    "encodings": encodings.encodings,
    "transactions": transactions.transactions,
    "policy_transactions": policy_transactions.policy_transactions,
    "updates": transactions.updates,
    "votes": votes_and_blocks.votes,
    "proposals": votes_and_blocks.proposals,
    "blocks": votes_and_blocks.blocks,
    "receipts": votes_and_blocks.receipts,
    "certificates": proofs.certificates,
    "payment_proofs": proofs.payment_proofs,
    "genesis": votes_and_blocks.genesis,
    "artifacts": artifacts.artifacts,
    "reader_proofs": artifacts.reader_proofs,
    "tensors": artifacts.tensors,
    "measures": measures.measures,
}
"""The subjects, by the name of their file."""


def main() -> None:
    """Write one JSON file for each format."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, make in VECTORS.items():
        path = FOLDER / f"{name}.json"
        path.write_text(json.dumps(make(), indent=1) + "\n", encoding="utf-8")
        print(path.relative_to(FOLDER.parents[1]))


if __name__ == "__main__":
    main()
