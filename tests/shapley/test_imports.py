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


USE_WITHOUT_OTHER_PACKAGES = """
import importlib.abc, sys
import numpy as np

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        package = name.partition(".")[0]
        if package not in {"numpy", "fedcoin"} | set(sys.stdlib_module_names):
            raise ImportError(f"{name} is blocked")
        return None

sys.meta_path.insert(0, Blocker())
from fedcoin import shapley
def utility(coalitions):
    return np.sqrt(coalitions @ np.arange(1.0, 7.0))
found = [shapley.estimate(utility, 6, name, 40) for name in shapley.METHODS if name != "exact"]
recorded = shapley.RecordedUtility(utility)
found.append(shapley.estimate(recorded, 6))
shapley.estimate_banzhaf(recorded)
shapley.compute_leave_one_out(recorded)
shapley.add_rounds(found)
print(len(found))
"""


def test_every_method_works_where_nothing_but_numpy_can_be_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", USE_WITHOUT_OTHER_PACKAGES],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "7\n")
