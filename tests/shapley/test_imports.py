"""The library needs NumPy and the standard library, and loads nothing else of the node."""

from __future__ import annotations

import json
import subprocess
import sys

LIST_LOADED_MODULES = """
import json, sys
before = set(sys.modules)
from fedcoin import shapley
shapley.estimate(lambda coalitions: coalitions.sum(axis=1), n=14, budget=60)
new = set(sys.modules) - before
# Cython's run-time support appears as modules without a file.
print(json.dumps([name for name in new if getattr(sys.modules[name], "__file__", None)]))
"""


def loaded_modules() -> list[str]:
    """List what a fresh interpreter loads to estimate Shapley values by kriging."""
    finished = subprocess.run(
        [sys.executable, "-c", LIST_LOADED_MODULES], check=True, capture_output=True, text=True
    )
    modules: list[str] = json.loads(finished.stdout)
    return modules


def test_only_numpy_and_the_standard_library_are_loaded() -> None:
    modules = loaded_modules()
    packages = {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names)
    assert packages == {"fedcoin", "numpy"}
    outside = {name for name in modules if name.startswith("fedcoin.") and "shapley" not in name}
    assert outside == {"fedcoin.data", "fedcoin.data.errors"}
