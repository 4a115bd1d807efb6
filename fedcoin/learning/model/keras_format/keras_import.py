"""Make a model of the chain from a built-in name, or from an architecture as people have it.

An architecture needs TensorFlow, so a worker process calls these functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.measures.target_kind import TargetKind
from fedcoin.learning.model import keras_models, keras_runtime
from fedcoin.learning.model.artifact_checks.shape_checks import check_shapes
from fedcoin.learning.model.keras_format.keras_json import normalise_json
from fedcoin.learning.model.keras_format.named_models import create_named_model
from fedcoin.learning.model.keras_format.output_kind import OutputKind, find_output_kind
from fedcoin.learning.model.spec import parse_spec


def create_initial_model(
    name_or_json: str,
    input_shape: Sequence[int],
    num_classes: int,
    seed: int,
    divisor: float = 1.0,
    kind: TargetKind = TargetKind.CLASSES,
    positions: int = 0,
) -> tuple[bytes, bytes, tuple[str, ...]]:
    """Create a model and its initial weights; for a worker process, as it may import TensorFlow.

    Args:
        name_or_json: One of `named_models.MODEL_NAMES`, or an architecture for `import_model`.
        input_shape: The shape of one example.
        num_classes: How many outputs the targets need (`count_outputs`). For tokens the model may
            have more, as its vocabulary may be larger than what occurs.
        seed: Seeds the initial weights.
        divisor: What the first layer of a built-in model divides the inputs by; a model from JSON
            takes the inputs as they are.
        kind: What the targets are.
        positions: How many targets an example has, where the model has a row of outputs for each of
            its positions; 0 for one row.

    Returns:
        The serialised ModelSpec, the initial weights as encoded tensors, and what was changed in
        the architecture that was given, each in a few words.

    Raises:
        RefusalError: UNKNOWN_MODEL when there is no model of that name; BAD_MODEL when it does not
            fit the data set; MODEL_TOO_LARGE, FORBIDDEN_LAYER or WRONG_DTYPE when it is too large,
            or has layers or dtypes that are not allowed.
    """
    if not name_or_json.lstrip().startswith("{"):
        named, named_weights = create_named_model(
            name_or_json, input_shape, num_classes, seed, divisor, kind
        )
        return named.SerializeToString(deterministic=True), encode_tensors(named_weights), ()
    keras = keras_runtime.load_keras()
    keras.utils.set_random_seed(seed)
    model, changes = import_model(name_or_json, input_shape, has_classes=kind is TargetKind.CLASSES)
    taken, made = model.input_shape[1:], model.output_shape[1:]
    check_shapes(taken, made, input_shape, num_classes, kind, positions)
    spec = keras_models.spec_from_model(model)
    weights = encode_tensors(keras_models.named_weights(model, parse_spec(spec)))
    return spec, weights, changes


def import_model(
    keras_json: str, input_shape: Sequence[int] = (), *, has_classes: bool = True
) -> tuple[Any, tuple[str, ...]]:
    """Build a Keras model from an architecture as people have it.

    Args:
        keras_json: What `model.to_json()` returned, in Keras 3 or 2. A model with one output, for
            two classes, gets a second one.
        input_shape: The shape of one example; empty if unknown.
        has_classes: Whether it is a classifier; false for regression, which may have one output.

    Returns:
        The model with initial weights, and what was changed, each in a few words.

    Raises:
        RefusalError: BAD_MODEL when the outputs are not one number for each class, or Keras cannot
            build the model; MODEL_TOO_LARGE, FORBIDDEN_LAYER or WRONG_DTYPE when it is too large,
            or has layers or dtypes that are not allowed.
    """
    normalised = normalise_json(keras_json, input_shape)
    model = keras_models.model_from_json(normalised.keras_json)
    if len(model.output_shape) not in (2, 3):
        raise RefusalError(
            LearningCode.BAD_MODEL,
            f"the model's output has the shape {model.output_shape}; it must be one number for "
            "each class of an example, as after Flatten, or of a position in it",
            field="keras_json",
        )
    if model.output_shape != (None, 1) or not has_classes:
        return model, normalised.changes
    model, change = _with_two_outputs(model)
    return model, (*normalised.changes, change)


def _with_two_outputs(model: Any) -> tuple[Any, str]:
    """Give a model with one output for two classes an output for each class."""
    keras = keras_runtime.load_keras()
    output = model.outputs[0]
    if find_output_kind(model) is OutputKind.PROBABILITIES:
        other = keras.layers.Rescaling(-1.0, 1.0, name="other_class")(output)
        change = "the one output is the probability of class 1, which counts above 0.5"
    else:
        other = keras.layers.Rescaling(0.0, 0.0, name="other_class")(output)
        change = "the one output is the logit of class 1, which counts above 0"
    both = keras.layers.Concatenate(name="both_classes")([other, output])
    wrapped = keras.Model(model.inputs, both, name=model.name)
    # Rebuilt, so that the names of its weights are those of every later build.
    rebuilt = keras_models.model_from_json(wrapped.to_json())
    rebuilt.set_weights(model.get_weights())
    return rebuilt, change
