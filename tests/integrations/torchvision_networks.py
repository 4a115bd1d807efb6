"""Networks of torchvision, with few classes and small images."""

from __future__ import annotations

from typing import Any

TORCHVISION: dict[str, dict[str, Any]] = {
    "resnet18": {},
    "mobilenet_v2": {},
    "mobilenet_v3_small": {},
    "mobilenet_v3_large": {},
    "squeezenet1_1": {"side": 64},
    "shufflenet_v2_x0_5": {},
    "efficientnet_b0": {},
    "densenet121": {},
    "swin_t": {},
    "VisionTransformer": {
        "image_size": 32,
        "patch_size": 8,
        "num_layers": 4,
        "num_heads": 4,
        "hidden_dim": 64,
        "mlp_dim": 128,
    },
}
"""Functions and classes of `torchvision.models`, and what they are given beside the number of
classes. `side` is that of the images."""

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "fcn_resnet50": ({"weights_backbone": None}, "one output for each example and class"),
}
"""Functions whose networks are refused, and a part of the sentence that says why."""
