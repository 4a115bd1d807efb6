"""Keep Triton out of processes that have loaded TensorFlow, which it would end.

Both register one option of LLVM: a process that loads TensorFlow 2.21 and then Triton 3.9 ends with
`LLVM ERROR: inconsistency in registered CommandLine options`. Flower's simulation loads TensorFlow,
where it is installed, before the client's app; PyTorch 2.15 imports Triton, where it is installed,
to make the first optimizer. FedCoin installs TensorFlow, so that it has to see to this.
"""

from __future__ import annotations

import sys


def keep_triton_out() -> None:
    """Make imports of Triton fail from now on, if TensorFlow was loaded first.

    PyTorch then goes on without it, and without `torch.compile` on GPUs.
    """
    if "tensorflow" in sys.modules and "triton" not in sys.modules:
        sys.modules["triton"] = None  # type: ignore[assignment]  # as importlib documents
