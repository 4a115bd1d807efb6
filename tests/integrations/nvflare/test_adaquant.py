"""NVFlare's quantization for its weak side, which docs/NVFLARE.md warns of."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="nvflare is not installed: make test-integrations has it")
pytest.importorskip("torch", reason="NVFlare's AdaQuantizer needs PyTorch")

import torch
from nvflare.app_opt.pt.quantization.ada_quant import AdaQuantizer


@pytest.mark.parametrize(
    ("spread", "dtype", "num_values"),
    [
        (1.0, "float32", 101),
        (0.001, "float32", 4),
        (0.00023, "float32", 2),
        (0.00022, "float32", 0),
        (0.00046, "float16", 2),
        (0.00044, "float16", 0),
    ],
)
def test_tensors_of_a_small_range_return_as_few_numbers_or_as_nan(
    spread: float, dtype: str, num_values: int
) -> None:
    sent = torch.linspace(0, spread, 101, dtype=getattr(torch, dtype))
    quantizer = AdaQuantizer(compression=False)
    quantized, state = quantizer.quantize(sent)
    received = quantizer.dequantized(torch.as_tensor(quantized), state).numpy()
    finite = received[np.isfinite(received)]
    assert len(np.unique(finite)) == num_values
    assert len(finite) == (101 if num_values else 0)
