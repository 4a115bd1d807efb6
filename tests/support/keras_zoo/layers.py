"""Every class of keras.layers in a model where it makes sense."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.support.keras_zoo.entries import CLASSES, TOKENS, Entry

IMAGE, SERIES, TABLE, VOLUME, VIDEO, WORDS = (
    (8, 8, 3), (10, 4), (6,), (4, 4, 4, 2), (3, 6, 6, 2), (9,)
)  # fmt: skip

Make = Callable[[Any], Any]


def _ends(k: Any, shape: tuple[int, ...]) -> list[Any]:
    flat = [k.Flatten()] if len(shape) > 1 else []
    return [*flat, k.Dense(CLASSES, activation="softmax")]


def _entry(name: str, shape: tuple[int, ...], make: Make, inputs: str = "unit") -> Entry:
    def build(keras: Any) -> Any:
        k = keras.layers
        made = make(k)
        body = made if isinstance(made, list) else [made]
        model = keras.Sequential([keras.Input(shape), *body])
        for last in _ends(k, model.output_shape[1:]):
            model.add(last)
        return model

    return Entry(name, "layers", build, inputs)


def _graph(name: str, shape: tuple[int, ...], body: Any) -> Entry:
    def build(keras: Any) -> Any:
        inputs = keras.Input(shape)
        out = body(keras.layers, inputs)
        for last in _ends(keras.layers, out.shape[1:]):
            out = last(out)
        return keras.Model(inputs, out)

    return Entry(name, "layers", build)


def _of_images() -> Iterator[Entry]:
    makes: dict[str, Make] = {
        "Conv2D": lambda k: k.Conv2D(3, 3, activation="relu"),
        "Conv2D dilated": lambda k: k.Conv2D(3, 3, dilation_rate=2),
        "Conv2D grouped": lambda k: k.Conv2D(6, 3, groups=3),
        "Conv2D strided": lambda k: k.Conv2D(4, 3, strides=2, padding="same"),
        "Conv2DTranspose": lambda k: k.Conv2DTranspose(2, 3, strides=2),
        "DepthwiseConv2D": lambda k: k.DepthwiseConv2D(3, depth_multiplier=2),
        "SeparableConv2D": lambda k: k.SeparableConv2D(4, 3),
        "MaxPooling2D": lambda k: k.MaxPooling2D(2),
        "MaxPooling2D overlapping": lambda k: k.MaxPooling2D(3, strides=1),
        "AveragePooling2D": lambda k: k.AveragePooling2D(2),
        "AdaptiveAveragePooling2D": lambda k: k.AdaptiveAveragePooling2D(3),
        "AdaptiveMaxPooling2D": lambda k: k.AdaptiveMaxPooling2D(3),
        "GlobalAveragePooling2D": lambda k: k.GlobalAveragePooling2D(),
        "GlobalMaxPooling2D": lambda k: k.GlobalMaxPooling2D(keepdims=True),
        "SpatialDropout2D": lambda k: [k.Conv2D(4, 3), k.SpatialDropout2D(0.3)],
        "UpSampling2D": lambda k: k.UpSampling2D(2, interpolation="bilinear"),
        "ZeroPadding2D": lambda k: k.ZeroPadding2D(1),
        "Cropping2D": lambda k: k.Cropping2D(1),
        "CenterCrop": lambda k: k.CenterCrop(6, 6),
        "Resizing": lambda k: k.Resizing(5, 5),
        "BatchNormalization": lambda k: [k.Conv2D(4, 3), k.BatchNormalization(), k.ReLU()],
        "GroupNormalization": lambda k: [k.Conv2D(4, 3), k.GroupNormalization(2)],
        "PReLU": lambda k: [k.Conv2D(4, 3), k.PReLU(shared_axes=[1, 2])],
        "Permute": lambda k: k.Permute((3, 1, 2)),
        "Reshape": lambda k: k.Reshape((64, 3)),
    }
    for name, make in makes.items():
        yield _entry(name, IMAGE, make)


def _of_augmentation() -> Iterator[Entry]:
    makes: dict[str, Make] = {
        "AutoContrast": lambda k: k.AutoContrast((0, 1)),
        "Solarization": lambda k: k.Solarization(value_range=(0, 1)),
        "RandomBrightness": lambda k: k.RandomBrightness(0.2, (0, 1)),
        "RandomColorDegeneration": lambda k: k.RandomColorDegeneration(0.5, (0, 1)),
        "RandomColorJitter": lambda k: k.RandomColorJitter((0, 1), 0.2),
        "RandomContrast": lambda k: k.RandomContrast(0.2),
        "RandomElasticTransform": lambda k: k.RandomElasticTransform(0.5),
        "RandomErasing": lambda k: k.RandomErasing(0.5),
        "RandomFlip": lambda k: k.RandomFlip("horizontal"),
        "RandomGaussianBlur": lambda k: k.RandomGaussianBlur(0.5),
        "RandomGrayscale": lambda k: k.RandomGrayscale(0.5),
        "RandomHue": lambda k: k.RandomHue(0.2, (0, 1)),
        "RandomInvert": lambda k: k.RandomInvert(0.5, (0, 1)),
        "RandomPerspective": lambda k: k.RandomPerspective(0.5),
        "RandomPosterization": lambda k: k.RandomPosterization(4, (0, 1)),
        "RandomRotation": lambda k: k.RandomRotation(0.1),
        "RandomSaturation": lambda k: k.RandomSaturation(0.5, (0, 1)),
        "RandomSharpness": lambda k: k.RandomSharpness(0.5, (0, 1)),
        "RandomTranslation": lambda k: k.RandomTranslation(0.1, 0.1),
        "RandomZoom": lambda k: k.RandomZoom(0.1),
        "CutMix": lambda k: k.CutMix(),
        "MixUp": lambda k: k.MixUp(),
    }
    for name, make in makes.items():
        yield _entry(name, IMAGE, make)


def _of_series() -> Iterator[Entry]:
    makes: dict[str, Make] = {
        "Conv1D": lambda k: k.Conv1D(3, 3, padding="causal"),
        "Conv1DTranspose": lambda k: k.Conv1DTranspose(2, 3),
        "DepthwiseConv1D": lambda k: k.DepthwiseConv1D(3),
        "SeparableConv1D": lambda k: k.SeparableConv1D(4, 3),
        "MaxPooling1D": lambda k: k.MaxPooling1D(2),
        "AveragePooling1D": lambda k: k.AveragePooling1D(2),
        "AdaptiveAveragePooling1D": lambda k: k.AdaptiveAveragePooling1D(3),
        "AdaptiveMaxPooling1D": lambda k: k.AdaptiveMaxPooling1D(3),
        "GlobalAveragePooling1D": lambda k: k.GlobalAveragePooling1D(),
        "GlobalMaxPooling1D": lambda k: k.GlobalMaxPooling1D(),
        "SpatialDropout1D": lambda k: k.SpatialDropout1D(0.2),
        "UpSampling1D": lambda k: k.UpSampling1D(2),
        "ZeroPadding1D": lambda k: k.ZeroPadding1D(1),
        "Cropping1D": lambda k: k.Cropping1D(1),
        "LSTM": lambda k: k.LSTM(5),
        "GRU": lambda k: k.GRU(5),
        "SimpleRNN": lambda k: k.SimpleRNN(5),
        "RNN of LSTMCell": lambda k: k.RNN(k.LSTMCell(4)),
        "RNN of StackedRNNCells": lambda k: k.RNN(
            k.StackedRNNCells([k.GRUCell(4), k.SimpleRNNCell(3)])
        ),
        "Bidirectional": lambda k: k.Bidirectional(k.LSTM(3, return_sequences=True)),
        "TimeDistributed": lambda k: k.TimeDistributed(k.Dense(3)),
        "Masking": lambda k: [k.Masking(), k.LSTM(4)],
        "LayerNormalization": lambda k: k.LayerNormalization(),
        "RMSNormalization": lambda k: k.RMSNormalization(),
        "UnitNormalization": lambda k: k.UnitNormalization(),
        "EinsumDense": lambda k: k.EinsumDense("abc,cd->abd", (10, 5), bias_axes="d"),
    }
    for name, make in makes.items():
        yield _entry(name, SERIES, make)
    yield _entry(
        "MelSpectrogram", (512,), lambda k: k.MelSpectrogram(128, 64, num_mel_bins=8), "table"
    )


def _of_tables() -> Iterator[Entry]:
    makes: dict[str, Make] = {
        "Dense": lambda k: k.Dense(5, activation="tanh"),
        "Activation": lambda k: [k.Dense(5), k.Activation("swish")],
        "ActivityRegularization": lambda k: [k.Dense(5), k.ActivityRegularization(0.1)],
        "ReLU": lambda k: [k.Dense(5), k.ReLU(6.0, 0.1)],
        "LeakyReLU": lambda k: [k.Dense(5), k.LeakyReLU(0.1)],
        "ELU": lambda k: [k.Dense(5), k.ELU()],
        "Softmax": lambda k: [k.Dense(5), k.Softmax()],
        "Dropout": lambda k: [k.Dense(5), k.Dropout(0.3)],
        "AlphaDropout": lambda k: [k.Dense(5, activation="selu"), k.AlphaDropout(0.3)],
        "GaussianDropout": lambda k: [k.Dense(5), k.GaussianDropout(0.3)],
        "GaussianNoise": lambda k: [k.GaussianNoise(0.3), k.Dense(5)],
        "Identity": lambda k: k.Identity(),
        "RepeatVector": lambda k: k.RepeatVector(3),
        "Rescaling": lambda k: k.Rescaling(0.5, -1.0),
        "SpectralNormalization": lambda k: k.SpectralNormalization(k.Dense(5)),
        "Normalization given": lambda k: k.Normalization(mean=[0.1] * 6, variance=[2.0] * 6),
        "Normalization adapted": lambda k: [k.Normalization(), k.Dense(5)],
        "Discretization": lambda k: [k.Discretization([-1.0, 0.0, 1.0]), k.CategoryEncoding(4)],
        "Discretization one hot": lambda k: k.Discretization([0.0, 0.5], output_mode="one_hot"),
    }
    for name, make in makes.items():
        yield _entry(name, TABLE, make, "table")
    yield _entry("Embedding", WORDS, lambda k: k.Embedding(TOKENS, 3), "tokens")
    yield _entry("CategoryEncoding", WORDS, lambda k: k.CategoryEncoding(TOKENS), "tokens")
    yield _entry(
        "Embedding masked",
        WORDS,
        lambda k: [k.Embedding(TOKENS, 3, mask_zero=True), k.LSTM(4)],
        "tokens",
    )
    yield _entry("ReversibleEmbedding", WORDS, lambda k: k.ReversibleEmbedding(TOKENS, 3), "tokens")


def _of_volumes() -> Iterator[Entry]:
    makes: dict[str, Make] = {
        "Conv3D": lambda k: k.Conv3D(2, 2),
        "Conv3DTranspose": lambda k: k.Conv3DTranspose(2, 2),
        "MaxPooling3D": lambda k: k.MaxPooling3D(2),
        "AveragePooling3D": lambda k: k.AveragePooling3D(2),
        "AdaptiveAveragePooling3D": lambda k: k.AdaptiveAveragePooling3D(2),
        "AdaptiveMaxPooling3D": lambda k: k.AdaptiveMaxPooling3D(2),
        "GlobalAveragePooling3D": lambda k: k.GlobalAveragePooling3D(),
        "GlobalMaxPooling3D": lambda k: k.GlobalMaxPooling3D(),
        "SpatialDropout3D": lambda k: k.SpatialDropout3D(0.2),
        "UpSampling3D": lambda k: k.UpSampling3D(2),
        "ZeroPadding3D": lambda k: k.ZeroPadding3D(1),
        "Cropping3D": lambda k: k.Cropping3D(1),
    }
    for name, make in makes.items():
        yield _entry(name, VOLUME, make)
    yield _entry("ConvLSTM1D", (3, 6, 2), lambda k: k.ConvLSTM1D(2, 3))
    yield _entry("ConvLSTM2D", VIDEO, lambda k: k.ConvLSTM2D(2, 3))
    yield _entry("ConvLSTM3D", (2, 4, 4, 4, 1), lambda k: k.ConvLSTM3D(1, 2))


def _of_merges() -> Iterator[Entry]:
    for name in ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract", "Concatenate"):
        yield _graph(
            name,
            TABLE,
            lambda k, x, name=name: getattr(k, name)()(
                [k.Dense(5, activation="relu")(x), k.Dense(5, activation="tanh")(x)]
            ),
        )
    yield _graph("Dot", TABLE, lambda k, x: k.Dot(1)([k.Dense(5)(x), k.Dense(5)(x)]))
    yield _graph("Attention", SERIES, lambda k, x: k.Attention(use_scale=True)([x, x]))
    yield _graph("AdditiveAttention", SERIES, lambda k, x: k.AdditiveAttention()([x, x]))
    yield _graph("MultiHeadAttention", SERIES, lambda k, x: k.MultiHeadAttention(2, 3)(x, x))
    yield _graph("GroupQueryAttention", SERIES, lambda k, x: k.GroupQueryAttention(4, 4, 2)(x, x))


def list_layers() -> list[Entry]:
    """List the models of single layers."""
    return [
        *_of_images(),
        *_of_augmentation(),
        *_of_series(),
        *_of_tables(),
        *_of_volumes(),
        *_of_merges(),
    ]
