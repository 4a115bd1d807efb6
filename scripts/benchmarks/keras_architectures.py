"""The Keras models that `bench_shapley` evaluates."""

from __future__ import annotations

from typing import Any


def mlp(keras: Any, shape: tuple[int, ...], classes: int) -> Any:
    """Make a network with one hidden layer of 128 units.

    Args:
        keras: The module keras.
        shape: The shape of one input.
        classes: The number of classes.

    Returns:
        A Keras model with softmax outputs.
    """
    layers = keras.layers
    hidden = layers.Dense(128, activation="relu")
    return keras.Sequential(
        [keras.Input(shape), layers.Flatten(), hidden, layers.Dense(classes, "softmax")]
    )


def cnn(keras: Any, shape: tuple[int, ...], classes: int) -> Any:
    """Make a network of two convolutions and two dense layers.

    Args:
        keras: The module keras.
        shape: The shape of one input.
        classes: The number of classes.

    Returns:
        A Keras model with softmax outputs.
    """
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Reshape((*shape, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(classes, "softmax"),
        ]
    )


def general(keras: Any, shape: tuple[int, ...], classes: int) -> Any:
    """Make a dense network with batch normalisation, dropout and a skip connection.

    Args:
        keras: The module keras.
        shape: The shape of one input.
        classes: The number of classes.

    Returns:
        A Keras model with softmax outputs.
    """
    layers = keras.layers
    inputs = keras.Input(shape)
    flat = layers.Flatten()(inputs)
    hidden = layers.Dense(64)(flat)
    hidden = layers.Dropout(0.3)(layers.ReLU()(layers.BatchNormalization()(hidden)))
    skip = layers.Concatenate()([hidden, layers.Dense(32, activation="gelu")(hidden)])
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(skip))


def residual(keras: Any, shape: tuple[int, ...], classes: int) -> Any:
    """Make a convolutional network with batch normalisation and a residual connection.

    Args:
        keras: The module keras.
        shape: The shape of one input.
        classes: The number of classes.

    Returns:
        A Keras model with softmax outputs.
    """
    layers = keras.layers
    inputs = keras.Input(shape)
    maps = layers.Conv2D(16, 3, padding="same")(layers.Reshape((*shape, 1))(inputs))
    maps = layers.MaxPooling2D()(layers.ReLU()(layers.BatchNormalization()(maps)))
    inner = layers.Conv2D(16, 3, padding="same")(maps)
    maps = layers.ReLU()(layers.Add()([maps, layers.BatchNormalization()(inner)]))
    flat = layers.GlobalAveragePooling2D()(maps)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(flat))


def embedding(keras: Any, shape: tuple[int, ...], classes: int) -> Any:
    """Make a network that embeds grey levels as if they were words.

    Args:
        keras: The module keras.
        shape: The shape of one input.
        classes: The number of classes.

    Returns:
        A Keras model with softmax outputs.
    """
    layers = keras.layers
    inputs = keras.Input(shape)
    shades = layers.Rescaling(15.99)(layers.Flatten()(inputs))
    words = layers.BatchNormalization()(layers.Embedding(16, 4)(shades))
    hidden = layers.Dense(64, activation="relu")(layers.Flatten()(words))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(hidden))
