"""Networks of torchvision as models: all coalitions count as in PyTorch; `-s` prints the table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: make test-integrations")
models = pytest.importorskip("torchvision.models", reason="needs torchvision")

from fedcoin.data.errors import RefusalError  # noqa: E402
from fedcoin.integrations.torch import export  # noqa: E402
from fedcoin.learning.workers import jobs  # noqa: E402
from tests.integrations.torch_coalitions import job_for, torch_outputs  # noqa: E402
from tests.integrations.torchvision_networks import REFUSED, TORCHVISION  # noqa: E402
from tests.support.small_models import all_coalitions  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

CLIENTS, CLASSES, EXAMPLES, SIDE = 4, 4, 40, 32


def build(name: str, settings: Mapping[str, Any]) -> tuple[Any, Any]:
    """Make a network with random weights and the images that it is valued on."""
    given = {"side": SIDE, **settings}
    side = given.pop("side")
    shape = (3, side, side)
    torch.manual_seed(7)
    if name in models.list_models():
        network = models.get_model(name, weights=None, num_classes=CLASSES, **given)
    else:
        network = getattr(models, name)(num_classes=CLASSES, **given)
    adapt(network, torch.rand(16, *shape))
    return network.eval(), torch.rand(EXAMPLES, *shape)


def adapt(network: Any, images: Any) -> None:
    """Give batch normalisations the means and variances of some images, as training does.

    With the first ones, 0 and 1, all coalitions would have the same count of right answers.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for layer in layers:
        layer.momentum = 1.0
    if layers:
        with torch.no_grad():
            network.train()(images)


def moved(state: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return a state dict as a client would train it: the weights and a tenth of noise."""
    generator = torch.Generator().manual_seed(seed)
    trained = {}
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            trained[name] = tensor
            continue
        spread = float(tensor.std()) if tensor.numel() > 1 else 0.0
        noise = torch.randn(tensor.shape, generator=generator)
        changed = tensor + 0.1 * max(0.05, spread) * noise
        trained[name] = changed.abs() if "var" in name else changed
    return trained


@pytest.mark.parametrize("name", TORCHVISION)
def test_all_coalitions_count_as_in_pytorch(name: str, tmp_path: Path) -> None:
    network, x = build(name, TORCHVISION[name])
    exported = export(network, x[:2])
    held = network.state_dict()
    assert set(exported.weights) | set(exported.left_out) == set(held)
    assert not any(held[key].is_floating_point() for key in exported.left_out)
    states = [moved(held, seed) for seed in range(CLIENTS + 1)]
    y = torch.randint(0, CLASSES, (EXAMPLES,))
    job = job_for(tmp_path, exported, states, x, y)
    counts = jobs.load_evaluator(job).evaluate(all_coalitions(CLIENTS))
    outputs = torch_outputs(network, states, job, x)
    expected = (outputs.argmax(2) == y).sum(1).numpy()
    highest = outputs.sort(2).values[..., -2:]
    near = (highest[..., 1] - highest[..., 0] <= 1e-5 * highest[..., 1].abs()).sum(1).numpy()
    difference = np.abs(counts - expected)
    parameters = sum(array.size for array in exported.weights.values()) / 1e6
    print(
        f"| {name} | {' x '.join(str(size) for size in x.shape[1:])} | {parameters:.1f} "
        f"| {difference.max()} | {near.max()} |"
    )
    assert (difference <= near).all()
    assert len(set(expected.tolist())) > 1


@pytest.mark.parametrize("name", REFUSED)
def test_networks_that_are_refused(name: str) -> None:
    settings, sentence = REFUSED[name]
    network, x = build(name, settings)
    with pytest.raises(RefusalError, match=sentence):
        export(network, x[:2])
