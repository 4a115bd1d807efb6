"""What an export of another framework's network gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedcoin.learning.model.onnx_files import OnnxNetwork, to_onnx_file
from fedcoin.learning.model.spec import parse_spec

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ExportedNetwork:
    """A network of another framework, as a campaign uses it."""

    spec: bytes
    """The serialised ModelSpec."""
    weights: dict[str, Floats]
    """The network's present weights by the framework's names, float32, in the order of the spec."""
    left_out: tuple[str, ...] = ()
    """The framework's names of what is not in `weights`: what the outputs do not depend on, what
    is not floating-point numbers, and other names of a tensor that is in `weights`."""

    def write(self, path: str | Path) -> None:
        """Write graph and weights into a file for `--model`.

        Args:
            path: The file, whose name must end in `.onnx`.

        Raises:
            OSError: The file cannot be written.
        """
        network = OnnxNetwork(parse_spec(self.spec), self.weights)
        Path(path).write_bytes(to_onnx_file(network))
