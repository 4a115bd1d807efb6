"""Outcomes and payments are computed in integers: nodes never compare floats."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import fedcoin

ROOT = Path(fedcoin.__file__).parent
PROOF = ("challenge", "sampling_plan", "exact_layout", "walk_layout", "hash_stream", "sum_tree",
         "evidence_checks", "evidence")  # fmt: skip
DECIDING = sorted(
    [
        ROOT / "consensus" / "posap.py",
        *(ROOT / "contract").rglob("*.py"),
        *(ROOT / "incentive" / f"{name}.py" for name in ("payout", "rounding")),
        *(ROOT / "incentive" / "proof" / f"{name}.py" for name in PROOF),
    ]
)
FLOATING = {"float", "sqrt", "mean", "average", "float64", "float32"}


def floats(tree: ast.AST) -> Iterator[str]:
    """Return the expressions that produce a float."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div):
            yield f"line {node.lineno}: a division that is not whole"
        elif isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"line {node.lineno}: {node.value}"
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
            if name in FLOATING:
                yield f"line {node.lineno}: {name}()"


def test_a_float_is_seen() -> None:
    assert len(list(floats(ast.parse("a = b / 2\nc = 0.5\nd /= 3\ne = float(a)")))) == 4


def test_no_float_decides() -> None:
    for path in DECIDING:
        found = list(floats(ast.parse(path.read_text(encoding="utf-8"))))
        assert not found, f"{path.relative_to(ROOT)}: {found}"
