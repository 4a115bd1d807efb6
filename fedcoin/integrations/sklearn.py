"""scikit-learn's classifiers as models of a campaign.

`export` describes a classifier once, when a campaign begins; `weights` takes the numbers of a
fitted one for each update:

    network = export(LogisticRegression().fit(x, y))
    update = weights(classifier, network.spec)

Linear classifiers and `MLPClassifier` are supported. scikit-learn's own exporter (skl2onnx) writes
a linear classifier as one operator that holds its weights as attributes, which could not be
averaged.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.integrations.exported_network import ExportedNetwork, Floats
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.onnx_files import from_onnx
from fedcoin.learning.model.spec import parse_spec, weight_shapes

OPSET = 18
"""The version of ONNX' operators that graphs are written with."""

_ACTIVATIONS = {"identity": "Identity", "logistic": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}


def export(classifier: Any) -> ExportedNetwork:
    """Describe a classifier as a ModelSpec and its weights.

    Args:
        classifier: A fitted linear classifier (with `coef_` and `intercept_`, such as
            `LogisticRegression` or `SGDClassifier`), or an `MLPClassifier`. Its classes must be
            the numbers 0 to c - 1.

    Returns:
        The network: it takes rows of features, and gives probabilities, or the scores of a linear
        classifier without probabilities. Weights have scikit-learn's names and shapes, with a
        number for each layer of an `MLPClassifier` (`coefs_.0`).

    Raises:
        RefusalError: BAD_MODEL when it is another estimator, is not fitted or has other classes.
    """
    arrays = _read_arrays(classifier)
    classes = getattr(classifier, "classes_", ())
    if list(classes) != list(range(len(classes))) or len(classes) < 2:
        raise _bad(
            f"its classes are {list(classes)[:8]}; number them from 0, in every client alike"
        )
    model = _build_model(classifier, arrays)
    network = from_onnx(model, arrays)
    return ExportedNetwork(network.spec.SerializeToString(deterministic=True), network.weights)


def weights(classifier: Any, spec: bytes) -> dict[str, Floats]:
    """Take the weights of a fitted classifier.

    Args:
        classifier: A classifier of the kind that was exported.
        spec: The serialised ModelSpec that `export` made.

    Returns:
        float32 weights in the order of the spec.

    Raises:
        RefusalError: WRONG_NAMES when the classifier has other weights than the exported one;
            WRONG_SHAPE when it has other numbers of features or classes; BAD_MODEL when it is
            another estimator or not fitted, or `spec` is not accepted.
    """
    arrays = _read_arrays(classifier)
    shapes = weight_shapes(parse_spec(spec))
    if list(arrays) != list(shapes):
        raise RefusalError(
            LearningCode.WRONG_NAMES,
            f"the classifier has {', '.join(arrays)}; the exported one has {', '.join(shapes)}",
            field="weights",
        )
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise RefusalError(
                LearningCode.WRONG_SHAPE,
                f"{name} has shape {arrays[name].shape}; the exported classifier's is {shape}: the "
                "classifier must have been fitted on the same features and classes",
                field=name,
                limit=str(shape),
            )
    return arrays


def _read_arrays(classifier: Any) -> dict[str, Floats]:
    """Read a classifier's weights under scikit-learn's names, layer by layer."""
    if hasattr(classifier, "coefs_") and hasattr(classifier, "out_activation_"):
        layers = zip(classifier.coefs_, classifier.intercepts_, strict=True)
        found = {
            f"{name}.{number}": array
            for number, arrays in enumerate(layers)
            for name, array in zip(("coefs_", "intercepts_"), arrays, strict=True)
        }
    elif hasattr(classifier, "coef_") and hasattr(classifier, "classes_"):
        kernel = np.atleast_2d(classifier.coef_)
        intercept = np.broadcast_to(np.ravel(classifier.intercept_), len(kernel))
        found = {"coef_": kernel, "intercept_": intercept}
    else:
        raise _bad("only fitted linear classifiers and MLPClassifier can be exported")
    return {name: np.array(array, np.float32) for name, array in found.items()}


def _build_model(classifier: Any, arrays: dict[str, Floats]) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    is_network = "coef_" not in arrays
    names = list(arrays)
    layers = [(names[index], names[index + 1]) for index in range(0, len(names), 2)]
    features = arrays[names[0]].shape[0 if is_network else 1]
    value, nodes = "x", []
    for number, (kernel, bias) in enumerate(layers):
        product = f"product{number}"
        settings = {} if is_network else {"transB": 1}
        nodes.append(helper.make_node("Gemm", [value, kernel, bias], [product], **settings))
        value = product
        if number < len(layers) - 1:
            value = f"active{number}"
            nodes.append(helper.make_node(_ACTIVATIONS[classifier.activation], [product], [value]))
    constants = []
    if arrays[names[-1]].shape == (1,):
        # The score of class 1 beside 0 for class 0: their softmax is the logistic function.
        nodes.append(helper.make_node("Mul", [value, "zero"], ["none"]))
        nodes.append(helper.make_node("Concat", ["none", value], ["both"], axis=1))
        constants.append(numpy_helper.from_array(np.array(0, np.float32), "zero"))
        value = "both"
    kind = "Softmax" if hasattr(classifier, "predict_proba") else "Identity"
    nodes.append(helper.make_node(kind, [value], ["outputs"]))
    graph = helper.make_graph(
        nodes,
        type(classifier).__name__,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", int(features)])],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["batch", None])],
        [*(numpy_helper.from_array(array, name) for name, array in arrays.items()), *constants],
    )
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def _bad(sentence: str) -> RefusalError:
    return RefusalError(
        LearningCode.BAD_MODEL, f"the classifier cannot be exported: {sentence}", field="classifier"
    )
