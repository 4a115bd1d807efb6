"""The order in which pytest-xdist hands the test files to its processes."""

from __future__ import annotations

from collections.abc import Sequence

WAITING = (
    "tests/application/client/",
    "tests/application/coordinator/",
    "tests/application/devnet/",
    "tests/e2e/",
)
"""The folders whose tests mostly wait: for other processes, for blocks, for windows to close."""

KERAS = tuple(
    f"tests/learning/{name}.py"
    for name in (
        "evaluation/test_graph_evaluator",
        "measures/test_engines",
        "model/keras_format/test_keras_applications",
        "model/keras_format/test_keras_zoo",
        "model/keras_format/test_named_models",
        "model/keras_format/test_random_graphs",
        "model/test_keras_models",
        "model/test_plain_keras",
        "training/test_dense_sgd",
        "training/test_frozen_training",
        "training/test_sgd",
    )
)
"""The files that import TensorFlow in the process of the tests, which takes seconds: one process
runs all of them, and begins early, as together they take longest."""

LONG_FIRST = ("testing", "application", "learning", "shapley", "network")
"""The other folders with long files, the longest first."""


def order_files(paths: Sequence[str]) -> list[str]:
    """Order test files so that all cores are busy from the beginning to the end.

    A file that waits runs beside files that compute, so the waiting files are spread over the
    first half of the others. Among these the long ones come first, so that no process is left
    alone with a long file at the end.

    Args:
        paths: Files as in node ids: `tests/FOLDER/.../test_X.py`.

    Returns:
        The same files in another order, which depends on the paths alone.
    """
    ranks = {folder: rank for rank, folder in enumerate(LONG_FIRST)}
    waiting = sorted(path for path in paths if path.startswith(WAITING))
    computing = sorted(
        (path for path in paths if not path.startswith(WAITING)),
        key=lambda path: (path not in KERAS, ranks.get(_folder(path), len(ranks)), path),
    )
    if not waiting:
        return computing
    gap = len(computing) // (2 * len(waiting))
    ordered: list[str] = []
    for path in waiting:
        ordered += [path, *computing[:gap]]
        del computing[:gap]
    return ordered + computing


def group_of(path: str) -> str:
    """Tell which files one process runs.

    Args:
        path: A file as in node ids.

    Returns:
        A name that the files have in common: the file itself, or "keras" for those in `KERAS`.
    """
    return "keras" if path in KERAS else path


def _folder(path: str) -> str:
    return path.split("/")[1]
