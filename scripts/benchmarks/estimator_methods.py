"""The estimators that are compared: FedCoin's, pyDVL's and those of shapiq that end in time.

A method takes a utility, the number of players, a budget and a seed, and returns the values, their
standard errors or None, and the number of distinct coalitions that it evaluated, without the empty
and the grand one. shapiq counts these two, so that its methods get the budget plus 2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcoin import shapley

Utility = Callable[[NDArray[np.bool_]], NDArray[np.float64]]
"""Takes coalitions, bool (m, n), and returns their worth, float64 (m,)."""

Method = Callable[[Utility, int, int, int], tuple[Any, Any, int]]
"""Takes a utility, the number of players, the number of evaluations and a seed; returns the values,
their standard errors or None, and how many coalitions were evaluated but the empty and the grand
one."""

PACKAGES = ("numpy", "pyDVL", "shapiq", "xgboost", "lightgbm", "scikit-learn")
"""Packages whose versions the results depend on."""

SHAPIQ: list[tuple[str, str, dict[str, Any]]] = [
    ("SVARM", "SVARM", {}),
    ("StratifiedSampling", "StratifiedSamplingSV", {}),
    ("OwenSampling", "OwenSamplingSV", {}),
    ("PermutationSampling", "PermutationSamplingSV", {}),
    ("KernelSHAP", "KernelSHAP", {"pairing_trick": True}),
    ("UnbiasedKernelSHAP", "UnbiasedKernelSHAP", {}),
    ("kADDSHAP", "kADDSHAP", {"max_order": 2}),
    ("LeverageSHAP", "LeverageSHAP", {}),
    ("PolySHAP 2", "PolySHAP", {"max_order": 2, "pairing_trick": True}),
    ("PolySHAP 3", "PolySHAP", {"max_order": 3, "pairing_trick": True}),
    ("OddSHAP", "OddSHAP", {}),
    ("RegressionMSR trees", "RegressionMSR", {"index": "SV"}),
    ("RegressionMSR linear", "RegressionMSR", {"index": "SV", "proxy_model": "linear"}),
    ("ProxySHAP", "ProxySHAP", {"index": "SV", "max_order": 1}),
    ("ProxySHAP adjusted", "ProxySHAP", {"index": "SV", "max_order": 1, "adjustment": True}),
    ("ProxySPEX", "ProxySPEX", {"index": "SV", "max_order": 1, "hpo": False}),
]
"""Label, class in `shapiq.approximator` and options.

SPEX and ShaplEIG are left out: with 50 evaluations of a game of twelve players neither ends within
8 s of processor time.
"""


def _ours(name: str) -> Method:
    def run(utility: Utility, n: int, budget: int, seed: int) -> tuple[Any, Any, int]:
        found = shapley.estimate(utility, n, name, budget, seed)
        return found.values, found.std_errors, found.evaluations

    return run


def _shapiq_method(name: str, **options: Any) -> Method:
    def run(utility: Utility, n: int, budget: int, seed: int) -> tuple[Any, Any, int]:
        import shapiq.approximator

        seen: set[bytes] = set()

        def game(rows: Any) -> Any:
            rows = np.asarray(rows, bool).reshape(-1, n)
            seen.update(row.tobytes() for row in rows)
            return utility(rows)

        maker = getattr(shapiq.approximator, name)
        found = maker(n=n, random_state=seed, **options).approximate(budget + 2, game)
        values = np.array([found[(player,)] for player in range(n)])
        ends = {bytes(n), bytes([1]) * n}
        return values, None, len(seen - ends)

    return run


def _pydvl_permutations(utility: Utility, n: int, budget: int, seed: int) -> tuple[Any, Any, int]:
    """Average the marginals of pyDVL's permutation sampler until the budget is used up."""
    from pydvl.valuation.samplers import PermutationSampler

    memo: dict[bytes, float] = {}
    walks: list[Any] = []
    for sample in PermutationSampler(seed=seed).generate_batches(np.arange(n)):
        for one in sample:
            positions = np.argsort(np.asarray(one.subset))
            rows = np.vstack([np.zeros(n, bool), positions[None] <= np.arange(n)[:, None]])
            keys = [row.tobytes() for row in rows]
            fresh = [i for i, key in enumerate(keys) if key not in memo]
            if len({*memo, *keys}) - 2 > budget or len(walks) > 20 * budget:
                if not walks:
                    raise ValueError("the budget is smaller than one walk")
                return np.mean(walks, axis=0), None, len(memo) - 2
            for i, worth in zip(fresh, utility(rows[fresh]) if fresh else [], strict=True):
                memo[keys[i]] = float(worth)
            walks.append(np.diff([memo[key] for key in keys])[positions])
    raise AssertionError("the sampler never ends")


def make_methods() -> dict[str, Method]:
    """Make all methods whose packages are installed.

    Returns:
        Methods by label, FedCoin's first. At these budgets `auto` is kriging or walks, so that
        `kriging` is left out.
    """
    known = {name: _ours(name) for name in ["auto", *shapley.METHODS]}
    for name in ("exact", "kriging", "grouped"):
        known.pop(name)
    if util.find_spec("pydvl"):
        import pydvl.valuation.samplers  # noqa: F401 - before any time is measured

        known["pyDVL permutations"] = _pydvl_permutations
    if util.find_spec("shapiq"):
        import shapiq.approximator

        for label, name, options in SHAPIQ:
            if hasattr(shapiq.approximator, name):
                known[f"shapiq {label}"] = _shapiq_method(name, **options)
    return known


def describe_versions() -> list[str]:
    """Return the name and version of each package that is installed."""
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return found


def fingerprint(method: str) -> str:
    """Return a key that changes when a method's results may change.

    Args:
        method: A label of `make_methods`.

    Returns:
        The versions of the other packages, or a digest of FedCoin's estimators.
    """
    if method.startswith(("shapiq", "pyDVL")):
        return ", ".join(describe_versions())
    folder = Path(shapley.__file__).parent
    sources = sorted(folder.rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
