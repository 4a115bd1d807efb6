"""The families of keras.applications, small and without trained weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.support.keras_zoo.entries import CLASSES, Entry, draw_inputs

_APPLICATIONS = {
    "MobileNet": {"alpha": 0.25}, "MobileNetV2": {"alpha": 0.35}, "MobileNetV3Small": {},
    "EfficientNetB0": {}, "EfficientNetV2B0": {}, "ResNet50": {}, "ResNet50V2": {}, "VGG16": {},
    "DenseNet121": {}, "ConvNeXtTiny": {}, "NASNetMobile": {}, "Xception": {}, "InceptionV3": {},
    "InceptionResNetV2": {}, "MobileNetV3Large": {}, "VGG19": {}, "ResNet101": {},
    "EfficientNetV2S": {}, "DenseNet169": {}, "ResNet101V2": {},
}  # fmt: skip
# In deep networks, as much noise as weights makes values overflow. With a tenth, the last digits of
# this one's weights decide answers, in Keras as well.
_NOISE = {"EfficientNetV2S": 0.01}
_SIDES = {"Xception": 71, "InceptionV3": 75, "InceptionResNetV2": 75}


def _of_applications() -> Iterator[Entry]:
    for name, given in _APPLICATIONS.items():
        side = _SIDES.get(name, 32)

        def build(keras: Any, name: str = name, given: Any = given, side: int = side) -> Any:
            keras.backend.clear_session()
            model = getattr(keras.applications, name)(
                weights=None, input_shape=(side, side, 3), classes=CLASSES, **given
            )
            _adapt(model, side)
            return model

        noise = _NOISE.get(name, 0.1)
        yield Entry(name, "applications", build, "pixels", input_side=side, noise=noise)


def _adapt(model: Any, side: int) -> None:
    """Give batch normalisations the means and variances of some images, as training does.

    With the first ones, 0 and 1, what a deep network computes hardly depends on the image, and all
    coalitions would have the same count of right answers.
    """
    layers = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    if layers:
        model(draw_inputs("pixels", (side, side, 3), 16, np.random.default_rng(4)), training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def list_applications() -> list[Entry]:
    """List a model of each family."""
    return list(_of_applications())
