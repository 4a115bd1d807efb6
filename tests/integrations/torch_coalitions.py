"""All coalitions of clients that train a PyTorch network, as PyTorch itself computes them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fedcoin.integrations.exported_network import ExportedNetwork
from fedcoin.integrations.torch import weights
from fedcoin.learning.evaluation.coefficients import coalition_coefficients
from fedcoin.learning.evaluation.job import UtilityJob
from fedcoin.learning.model.spec import parse_spec
from tests.support.small_models import all_coalitions, write_job


def job_for(
    folder: Path, exported: ExportedNetwork, states: list[dict[str, Any]], x: Any, y: Any
) -> UtilityJob:
    """Write a job whose base is the first state dict, and whose updates are the others."""
    inputs = x.numpy() if x.is_floating_point() else x.numpy().astype(np.int32)
    base, *updates = (weights(state, exported.spec) for state in states)
    return write_job(folder, parse_spec(exported.spec), base, updates, inputs, y.numpy())


def torch_outputs(network: Any, states: list[dict[str, Any]], job: UtilityJob, x: Any) -> Any:
    """Compute the outputs of all coalitions' averages, (coalitions, examples, ...)."""
    base, *updates = states
    coefficients = coalition_coefficients(
        all_coalitions(len(updates)), job.num_samples, job.averaging
    )
    averaged = copy.deepcopy(network).eval()
    outputs = []
    for row in coefficients:
        state = {
            name: sum(c * s[name].double() for c, s in zip(row, (*updates, base), strict=True))
            for name in base
            if base[name].is_floating_point()
        }
        averaged.load_state_dict({name: t.float() for name, t in state.items()}, strict=False)
        with torch.no_grad():
            outputs.append(averaged(x))
    return torch.stack(outputs)


def torch_counts(
    network: Any, states: list[dict[str, Any]], job: UtilityJob, x: Any, y: Any, axis: int = 1
) -> list[int]:
    """Count the right answers of all coalitions' averages."""
    return [
        int((outputs.argmax(axis) == y).sum()) for outputs in torch_outputs(network, states, job, x)
    ]
