"""Count the models of the tests, by kind and by what becomes of them, for docs/MODELS.md.

Models of Keras are counted from their lists. Those of PyTorch and scikit-learn are counted in the
source of their tests, since both packages are in an environment of their own.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from tests.support.keras_zoo.applications import list_applications
from tests.support.keras_zoo.entries import Entry
from tests.support.keras_zoo.layers import list_layers
from tests.support.keras_zoo.random_graphs import COUNT
from tests.support.keras_zoo.wholes import list_wholes

ROOT = Path(__file__).resolve().parents[2]
KERAS = "tests/learning/model/keras_format"
TORCH = "tests/integrations/torch_networks.py"
TORCHVISION = "tests/integrations/torchvision_networks.py"
SKLEARN = "tests/integrations/test_sklearn.py"

CLASSES_OF_SKLEARN, FORMS_OF_SKL2ONNX = 2, 4
"""Each classifier has 2 and 4 classes; skl2onnx writes a network of each in two forms, which are
taken, and a linear classifier, which is not."""


@dataclass(frozen=True)
class Kind:
    """A row of the table."""

    title: str
    """What models these are."""
    taken: int
    """How many are valued, all with the counts of their own framework."""
    refused: int
    """How many are refused, each with a sentence that says what to do."""
    test: str
    """The file whose tests show it."""


def count_keys(path: Path, name: str) -> int:
    """Count the entries of a dictionary that a module assigns to a name.

    Args:
        path: The module's source.
        name: The variable.

    Returns:
        The number of keys in the display.

    Raises:
        ValueError: The module assigns no dictionary display to it.
    """
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict)):
            continue
        if ast.unparse(node.target) == name:
            return len(node.value.keys)
    raise ValueError(f"{path} assigns no dictionary to {name}")


def count_models() -> list[Kind]:
    """Count the models of each kind.

    Returns:
        The rows, without their sum.
    """
    zoo = f"{KERAS}/test_keras_zoo.py"
    wholes = list_wholes()
    kinds = [
        _of_entries("each class of `keras.layers` in a model", list_layers(), zoo),
        *(
            _of_entries(title, [entry for entry in wholes if entry.group == group], zoo)
            for group, title in (
                ("forms", "compiled, of Keras 2, integer inputs, fixed batches, one output"),
                ("graphs", "nested, shared, joined, attention, `keras.ops`, activations"),
                ("refused", "dtype policies, quantised, several inputs or outputs, code, text"),
            )
        ),
        _of_entries(
            "families of `keras.applications`",
            list_applications(),
            f"{KERAS}/test_keras_applications.py",
        ),
        Kind("random Keras graphs", COUNT, 0, f"{KERAS}/test_random_graphs.py"),
    ]
    torch = {name: count_keys(ROOT / TORCH, name) for name in ("NUMPY", "RUNTIME", "NEWER")}
    kinds.append(
        Kind(
            "PyTorch networks as ONNX",
            sum(torch.values()),
            count_keys(ROOT / TORCH, "REFUSED"),
            "tests/integrations/test_torch.py",
        )
    )
    kinds.append(
        Kind(
            "torchvision's networks as ONNX",
            count_keys(ROOT / TORCHVISION, "TORCHVISION"),
            count_keys(ROOT / TORCHVISION, "REFUSED"),
            "tests/integrations/test_torchvision.py",
        )
    )
    classifiers = CLASSES_OF_SKLEARN * count_keys(ROOT / SKLEARN, "CLASSIFIERS")
    kinds.append(Kind("scikit-learn classifiers", classifiers, 0, SKLEARN))
    kinds.append(Kind("what skl2onnx wrote", FORMS_OF_SKL2ONNX, 1, SKLEARN))
    return kinds


def render_counts() -> str:
    """Render the counts as Markdown.

    Returns:
        A table with a sum.
    """
    kinds = count_models()
    lines = [
        "| models | number | with the framework's counts | refused with advice | test |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {kind.title} | {kind.taken + kind.refused} | {kind.taken} | {kind.refused} "
        f"| `{kind.test}` |"
        for kind in kinds
    ]
    taken, refused = sum(kind.taken for kind in kinds), sum(kind.refused for kind in kinds)
    lines.append(f"| all | {taken + refused} | {taken} | {refused} | |")
    return "\n".join(lines)


def _of_entries(title: str, entries: list[Entry], test: str) -> Kind:
    refused = sum(bool(entry.refused) for entry in entries)
    return Kind(title, len(entries) - refused, refused, test)
