"""scikit-learn's classifiers as models: the right answers are those that scikit-learn counts."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn: make test-integrations")

from sklearn.datasets import make_classification
from sklearn.linear_model import (
    LogisticRegression,
    Perceptron,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.neural_network import MLPClassifier
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from fedcoin.data.errors import RefusalError
from fedcoin.integrations.sklearn import export, weights
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.evaluation.coefficients import coalition_coefficients
from fedcoin.learning.evaluation.onnx_evaluator import OnnxEvaluator
from fedcoin.learning.model import onnx_files
from fedcoin.learning.model.spec import parse_spec
from fedcoin.learning.workers import jobs
from tests.support.small_models import all_coalitions, write_job

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

CLIENTS = 4
CLASSIFIERS: dict[str, Any] = {
    "logistic regression": LogisticRegression(),
    "logistic regression without intercept": LogisticRegression(fit_intercept=False),
    "stochastic gradient descent": SGDClassifier(loss="log_loss", max_iter=20),
    "hinge loss": SGDClassifier(max_iter=20),
    "perceptron": Perceptron(),
    "ridge": RidgeClassifier(),
    "support vectors": LinearSVC(),
    "network": MLPClassifier((8,), max_iter=30),
    "deep network": MLPClassifier((8, 6), activation="tanh", max_iter=30),
    "logistic network": MLPClassifier((8,), activation="logistic", max_iter=30),
    "linear network": MLPClassifier((8,), activation="identity", max_iter=30),
}


def data(classes: int) -> tuple[Any, Any]:
    x, y = make_classification(
        600, 10, n_informative=6, n_classes=classes, flip_y=0.1, random_state=3
    )
    return x.astype(np.float32), y


def average(classifiers: list[Any], row: Any) -> Any:
    """Return a classifier with the average of all weights, as scikit-learn keeps them."""
    averaged = copy.deepcopy(classifiers[0])
    for name in ("coefs_", "intercepts_"):
        if hasattr(averaged, name):
            layers = zip(*(getattr(item, name) for item in classifiers), strict=True)
            setattr(averaged, name, [
                sum(c * array for c, array in zip(row, arrays, strict=True)) for arrays in layers
            ])  # fmt: skip
    for name in ("coef_", "intercept_"):
        if hasattr(averaged, name):
            arrays = [getattr(item, name) for item in classifiers]
            setattr(averaged, name, sum(c * a for c, a in zip(row, arrays, strict=True)))
    return averaged


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_all_coalitions_count_as_in_scikit_learn(name: str, classes: int, tmp_path: Path) -> None:
    x, y = data(classes)
    fitted = []
    for client in range(CLIENTS + 1):
        classifier = copy.deepcopy(CLASSIFIERS[name]).set_params(
            **({"random_state": client} if hasattr(CLASSIFIERS[name], "random_state") else {})
        )
        fitted.append(classifier.fit(x[client * 60 : client * 60 + 60], y[client * 60 :][:60]))
    exported = export(fitted[-1])
    updates = [weights(classifier, exported.spec) for classifier in fitted]
    spec = parse_spec(exported.spec)
    job = write_job(tmp_path, spec, updates[-1], updates[:-1], x[300:], y[300:])
    evaluator = jobs.load_evaluator(job)
    assert not isinstance(evaluator, OnnxEvaluator)
    coalitions = all_coalitions(CLIENTS)
    expected = [
        int((average(fitted, row).predict(x[300:]) == y[300:]).sum())
        for row in coalition_coefficients(coalitions, job.num_samples, job.averaging)
    ]
    assert evaluator.evaluate(coalitions).tolist() == expected
    assert len(set(expected)) > 3


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("has_dictionaries", [True, False])
def test_networks_of_skl2onnx_are_taken(
    classes: int, has_dictionaries: bool, tmp_path: Path
) -> None:
    skl2onnx = pytest.importorskip("skl2onnx")
    x, y = data(classes)
    network = MLPClassifier((8,), max_iter=30).fit(x, y)
    options = {} if has_dictionaries else {"options": {id(network): {"zipmap": False}}}
    model = skl2onnx.to_onnx(network, x[:1], **options)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    found = onnx_files.read_onnx_file(str(tmp_path / "net.onnx"))
    assert list(found.weights) == ["coefficient", "intercepts", "coefficient1", "intercepts1"]
    job = write_job(tmp_path / "job", found.spec, found.weights, [found.weights], x, y)
    right = int((network.predict(x) == y).sum())
    assert jobs.load_evaluator(job).evaluate(all_coalitions(1)).tolist() == [right, right]


def test_linear_classifiers_of_skl2onnx_are_refused() -> None:
    skl2onnx = pytest.importorskip("skl2onnx")
    x, y = data(4)
    model = skl2onnx.to_onnx(LogisticRegression().fit(x, y), x[:1])
    with pytest.raises(RefusalError, match=r"fedcoin\.integrations\.sklearn") as caught:
        onnx_files.from_onnx(model)
    assert caught.value.code is LearningCode.FORBIDDEN_LAYER


def test_other_estimators_are_refused() -> None:
    x, y = data(4)
    for classifier, sentence in (
        (DecisionTreeClassifier().fit(x, y), "only fitted linear classifiers"),
        (LogisticRegression(), "only fitted"),
        (LogisticRegression().fit(x, y + 1), "number them from 0"),
        (LogisticRegression().fit(x, y.astype(str)), "number them from 0"),
    ):
        with pytest.raises(RefusalError, match=sentence) as caught:
            export(classifier)
        assert caught.value.code is LearningCode.BAD_MODEL
    spec = export(LogisticRegression().fit(x, y)).spec
    few = y < 3
    for classifier, code in (
        (LogisticRegression().fit(x[:, :9], y), LearningCode.WRONG_SHAPE),
        (LogisticRegression().fit(x[few], y[few]), LearningCode.WRONG_SHAPE),
        (MLPClassifier((4,), max_iter=5).fit(x, y), LearningCode.WRONG_NAMES),
    ):
        with pytest.raises(RefusalError) as caught:
            weights(classifier, spec)
        assert caught.value.code is code
