"""The families of keras.applications, small and without trained weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.support.keras_zoo.entries import CLASSES, Entry

_APPLICATIONS = {
    "MobileNet": {"alpha": 0.25}, "MobileNetV2": {"alpha": 0.35}, "MobileNetV3Small": {},
    "EfficientNetB0": {}, "EfficientNetV2B0": {}, "ResNet50": {}, "ResNet50V2": {}, "VGG16": {},
    "DenseNet121": {}, "ConvNeXtTiny": {}, "NASNetMobile": {}, "Xception": {}, "InceptionV3": {},
    "InceptionResNetV2": {},
}  # fmt: skip
_SIDES = {"Xception": 71, "InceptionV3": 75, "InceptionResNetV2": 75}


def _of_applications() -> Iterator[Entry]:
    for name, given in _APPLICATIONS.items():
        side = _SIDES.get(name, 32)

        def build(keras: Any, name: str = name, given: Any = given, side: int = side) -> Any:
            keras.backend.clear_session()
            return getattr(keras.applications, name)(
                weights=None, input_shape=(side, side, 3), classes=CLASSES, **given
            )

        yield Entry(name, "applications", build, "pixels", input_side=side)


def list_applications() -> list[Entry]:
    """List a model of each family."""
    return list(_of_applications())
