from __future__ import annotations

import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedcoin.application.cli.training import valuation_progress
from fedcoin.application.configuration.cpu_count import count_usable_cpus
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.offline import standard_errors, valuation
from fedcoin.application.offline.valuation import ValuationProgress
from fedcoin.learning.files.array_files import write_arrays
from fedcoin.learning.workers import batch_sizer, executors
from fedcoin.learning.workers.executors import LocalWorker
from tests.support.inline_workers import InlineWorker
from tests.support.mining_campaign import CLASSES, EXAMPLES, PIXELS, linear_spec
from tests.support.onnx_graphs import graph_model, node

CLIENTS = 5


@pytest.fixture(autouse=True)
def _one_inline_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start one worker, in this process: most tests need no process for each core."""
    monkeypatch.setattr(valuation, "count_usable_cpus", lambda: 1)
    monkeypatch.setattr(executors, "LocalWorker", InlineWorker)


@pytest.fixture
def _worker_processes(monkeypatch: pytest.MonkeyPatch, _one_inline_worker: None) -> None:
    monkeypatch.setattr(valuation, "count_usable_cpus", count_usable_cpus)
    monkeypatch.setattr(executors, "LocalWorker", LocalWorker)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Clients of decreasing quality for a linear rule, and a test set of it."""
    rng = np.random.default_rng(1)
    rule = rng.normal(size=(PIXELS, CLASSES)).astype(np.float32)
    x = rng.normal(size=(EXAMPLES, PIXELS)).astype(np.float32)
    (tmp_path / "model.spec").write_bytes(linear_spec().SerializeToString(deterministic=True))
    (tmp_path / "model.json").write_text(linear_spec().keras_json)
    np.savez(tmp_path / "data.npz", x=x, y=(x @ rule).argmax(axis=1))
    zeros = np.zeros((PIXELS, CLASSES), np.float32)
    np.savez(tmp_path / "base.npz", kernel=zeros, bias=zeros[0])
    (tmp_path / "updates").mkdir()
    for client in range(CLIENTS):
        noise = rng.normal(size=rule.shape).astype(np.float32)
        weights = rule + np.float32(client) * noise
        # In the model's order, without names.
        np.savez(tmp_path / f"updates/client-{client}.npz", weights, zeros[0])
    return tmp_path


def call(fedcoin: Any, files: Path, *more: object, model: str = "model.spec") -> Any:
    return fedcoin(
        "shapley",
        *("--model", files / model, "--base", files / "base.npz"),
        *("--updates", files / "updates", "--data", files / "data.npz"),
        *more,
    )


@pytest.mark.usefixtures("_worker_processes")
def test_values_as_json_table_and_plot(fedcoin: Any, files: Path) -> None:
    pytest.importorskip("matplotlib")
    outcome = call(fedcoin, files, "--json", "--plot", files / "values.png")
    assert outcome.code == 0, outcome.err
    found = outcome.json
    assert found["method"] == "exact"
    values = [client["value"] for client in found["clients"]]
    assert sum(values) == pytest.approx(found["utility"] - found["base_utility"])
    assert values[0] == max(values)
    assert (files / "values.png").read_bytes().startswith(b"\x89PNG")
    table = call(fedcoin, files, "--method", "permutation", "--budget", 20)
    assert table.code == 0, table.err
    assert "95 % interval" in table.out
    assert "client-4" in table.out
    assert "permutation, " in table.err


@pytest.mark.parametrize("ending", [".svg", ".pdf"])
def test_other_plots(fedcoin: Any, files: Path, ending: str) -> None:
    pytest.importorskip("matplotlib")
    plot = files / f"values{ending}"
    assert call(fedcoin, files, "--plot", plot, "--method", "permutation", "--budget", 4).code == 0
    assert (b"<svg" if ending == ".svg" else b"%PDF") in plot.read_bytes()


def test_intervals(fedcoin: Any, files: Path) -> None:
    some = call(fedcoin, files, "--json", "--method", "permutation", "--budget", 20).json
    assert some["evaluations"] <= 20
    for client in some["clients"]:
        assert client["low"] < client["value"] < client["high"]
        half = (client["high"] - client["low"]) / 2
        assert half == pytest.approx(1.96 * client["std_error"])
    # One walk has no standard error.
    few = call(fedcoin, files, "--json", "--method", "permutation", "--budget", 4)
    assert [client["std_error"] for client in few.json["clients"]] == [None] * CLIENTS
    table = call(fedcoin, files, "--method", "permutation", "--budget", 4)
    assert table.out.count("unknown: too few evaluations") == CLIENTS
    exact = call(fedcoin, files, "--json", "--budget", 2**CLIENTS - 2).json
    assert {client["std_error"] for client in exact["clients"]} == {0}


def test_inputs_are_scaled_only_when_asked(fedcoin: Any, files: Path) -> None:
    with np.load(files / "data.npz") as data:
        x = np.rint(np.clip(20 * data["x"] + 128, 0, 255))
        y = data["y"]
    found = {}
    for dtype in ("u1", "f8"):
        np.savez(files / "data.npz", x=x.astype(dtype), y=y)
        outcome = call(fedcoin, files, "--json").json
        assert outcome["inputs"].pop("dtype") == str(np.dtype(dtype))
        assert (outcome["inputs"]["high"], outcome["inputs"]["divided_by"]) == (x.max(), 1)
        found[dtype] = outcome
    assert found["u1"] == found["f8"]
    asked = call(fedcoin, files, "--scale", 255)
    assert f"inputs {x.min():g} to {x.max():g} (float64), divided by 255" in asked.err
    np.savez(files / "data.npz", x=x, y=y, scale=np.float32(20))
    assert call(fedcoin, files, "--json").json["inputs"]["divided_by"] == 20
    np.savez(files / "data.npz", x=x, y=y, scale=0)
    refused = call(fedcoin, files)
    assert (refused.code, "[BAD_DATASET]" in refused.err) == (1, True), refused.err


def test_tolerance_ends_the_evaluation(fedcoin: Any, files: Path) -> None:
    loose = call(fedcoin, files, "--json", "--method", "permutation", "--tolerance", 0.9).json
    assert loose["within_tolerance"]
    tight = ("--method", "permutation", "--budget", 8, "--tolerance", 1e-6)
    missed = call(fedcoin, files, "--json", *tight).json
    assert missed["within_tolerance"] is False
    assert missed["evaluations"] <= 8
    assert "wider than the tolerance" in call(fedcoin, files, *tight).err
    # With few clients `auto` would be exact; with a tolerance it is not yet known to be.
    told = call(fedcoin, files, "--tolerance", 0.9).err
    assert f"auto: evaluates at most {2**CLIENTS} coalitions" in told
    refused = call(fedcoin, files, "--tolerance", 0)
    assert (refused.code, "[BAD_TOLERANCE]" in refused.err) == (1, True), refused.err


def weights(change: Any = None, **more: Any) -> dict[str, Any]:
    kernel = np.zeros((PIXELS, CLASSES), np.float32)
    return {"kernel": kernel if change is None else change, "bias": kernel[0], **more}


X, Y = np.zeros((4, PIXELS), np.float32), np.array([0, 1, 2, 0])


@pytest.mark.parametrize(
    ("code", "file", "content"),
    [
        ("WRONG_SHAPE", "updates/client-0.npz", weights(np.zeros((PIXELS, 4), np.float32))),
        ("WRONG_NAMES", "updates/client-0.npz", {"kernel": X}),
        ("WRONG_SHAPE", "base.npz", weights(np.zeros(3, np.float32))),
        ("WRONG_DTYPE", "base.npz", weights(np.full((PIXELS, CLASSES), "a"))),
        ("NOT_FINITE", "updates/client-0.npz", weights(np.full((PIXELS, CLASSES), np.nan))),
        ("NOT_FINITE", "base.npz", weights(np.full((PIXELS, CLASSES), 1e60))),
        ("BAD_SAMPLES", "updates/client-0.npz", weights(num_samples=0)),
        ("BAD_SAMPLES", "updates/client-0.npz", weights(num_samples=1.5)),
        ("BAD_SAMPLES", "updates/client-0.npz", weights(num_samples=2_000_000_000)),
        ("UNREADABLE_FILE", "updates/client-0.npz", b"nonsense"),
        ("UNREADABLE_FILE", "data.npz", b""),
        ("BAD_MODEL", "model.spec", b"nonsense"),
        ("BAD_MODEL", "model.spec", b"{nonsense"),
        (ApplicationCode.DUPLICATE_CLIENT.name, "updates/client-3.NPZ", weights()),
        ("LABEL_OUT_OF_RANGE", "data.npz", {"x": X, "y": np.array([0, 1, 2, CLASSES])}),
        ("LABEL_OUT_OF_RANGE", "data.npz", {"x": X, "y": np.array([0, 1, 2, -1])}),
        ("NOT_FINITE", "data.npz", {"x": np.full_like(X, np.inf), "y": Y}),
        ("WRONG_SHAPE", "data.npz", {"x": X, "y": Y[:3]}),
        ("WRONG_SHAPE", "data.npz", {"x": X[:, :2], "y": Y}),
        ("WRONG_SHAPE", "data.npz", {"x": X[:0], "y": Y[:0]}),
        ("WRONG_DTYPE", "data.npz", {"x": X, "y": Y / 2}),
        ("WRONG_NAMES", "data.npz", {"pictures": X, "labels": Y}),
    ],
)
def test_bad_files(fedcoin: Any, files: Path, code: str, file: str, content: Any) -> None:
    if isinstance(content, bytes):
        (files / file).write_bytes(content)
    else:
        with (files / file).open("wb") as opened:
            np.savez(opened, **content)
    outcome = call(fedcoin, files)
    assert (outcome.code, f"[{code}]" in outcome.err) == (1, True), outcome.err
    assert not outcome.out


def test_bad_questions(fedcoin: Any, files: Path) -> None:
    def refused(code: str, *more: object) -> str:
        outcome = call(fedcoin, files, *more)
        assert (outcome.code, f"[{code}]" in outcome.err) == (1, True), outcome.err
        return str(outcome.err)

    assert "at least 4 evaluations" in refused(
        "BAD_BUDGET", "--budget", 2, "--method", "permutation"
    )
    refused("BAD_METHOD", "--method", "magic")
    refused("NO_FILE", "--model", files / "missing.json")
    refused("UNREADABLE_FILE", "--base", files / "updates")
    refused("NO_FILE", "--data", files / "missing.npz")
    refused("NO_UPDATES", "--updates", files / "missing")
    (files / "empty").mkdir()
    refused("NO_UPDATES", "--updates", files / "empty")
    for wrong in (
        ("--budget", -1),
        ("--budget", "many"),
        ("--plot", files / "values.txt"),
        ("--plot", files / "missing/values.png"),
        ("--nonsense",),
    ):
        assert call(fedcoin, files, *wrong).code == 2


def test_lines_say_how_far_it_is(
    fedcoin: Any, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valuation_progress, "LINE_SECONDS", 0)
    monkeypatch.setattr(standard_errors, "UPDATE_SECONDS", 0)
    monkeypatch.setattr(batch_sizer, "MAX_BATCH", 4)
    outcome = call(fedcoin, files, "--json", "--method", "permutation", "--budget", 28)
    *lines, last = outcome.err.strip().splitlines()
    assert lines[0] == f"permutation: evaluates at most 30 coalitions on {EXAMPLES} examples"
    assert lines[1] == "2 of at most 30 coalitions"
    (time_line,) = [line for line in lines if line.startswith("the evaluation will take about ")]
    assert " s more, measured on " in time_line
    assert lines.index(time_line) < len(lines) - 1
    assert "standard error" in last
    assert last.endswith(" s left")
    assert outcome.json["method"] == "permutation"


@pytest.mark.parametrize("method", ["complementary", "auto"])
def test_lines_say_how_wide_the_widest_interval_is(
    fedcoin: Any, files: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(valuation_progress, "LINE_SECONDS", 0)
    for client in range(4):
        # Among five clients the first attempt evaluates everything.
        shutil.copy(files / f"updates/client-{client}.npz", files / f"updates/more-{client}.npz")
    outcome = call(fedcoin, files, "--json", "--method", method, "--tolerance", 0.01)
    widths = re.findall(r"widest interval ±(\S+), tolerance ±0\.01", outcome.err)
    widest = max(1.96 * client["std_error"] for client in outcome.json["clients"])
    assert len(widths) > 1, outcome.err
    assert float(widths[-1]) == pytest.approx(widest, rel=0.05)


def test_a_bar_on_a_terminal(fedcoin: Any, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert call(fedcoin, files).code == 0
    with valuation_progress.shown() as report:
        report(ValuationProgress(30, 100, 7.2, 0.0123, "kriging", 50))


def test_an_onnx_file(fedcoin: Any, files: Path) -> None:
    weights = {"kernel": (PIXELS, CLASSES), "bias": (CLASSES,)}
    zeros = {name: np.zeros(shape, np.float32) for name, shape in weights.items()}
    nodes = [node("Gemm", "x kernel bias", "z"), node("Softmax", "z", "y")]
    model = graph_model(nodes, (PIXELS,), {}, zeros)
    (files / "model.onnx").write_bytes(model.SerializeToString())
    outcome = call(fedcoin, files, "--json", model="model.onnx")
    assert outcome.code == 0, outcome.err
    assert outcome.json == call(fedcoin, files, "--json").json
    (files / "model.onnx").write_bytes(b"no model")
    assert "[UNKNOWN_MODEL]" in call(fedcoin, files, model="model.onnx").err


@pytest.mark.slow
@pytest.mark.usefixtures("_worker_processes")
def test_keras_json(fedcoin: Any, files: Path) -> None:
    # Keras' names are others than those of the spec.
    zeros = np.zeros((PIXELS, CLASSES), np.float32)
    np.savez(files / "base.npz", zeros, zeros[0])
    named = call(fedcoin, files, "--json", model="model.json")
    assert named.code == 0, named.err
    assert named.json == call(fedcoin, files, "--json").json


def test_files_of_other_formats_in_one_folder(fedcoin: Any, files: Path) -> None:
    expected = call(fedcoin, files, "--json").json
    with np.load(files / "updates/client-0.npz") as archive:
        arrays = dict(zip(("kernel", "bias"), (archive[name] for name in archive.files)))  # noqa: B905
    (files / "updates/client-0.npz").unlink()
    # The model's own prefix, and a transposed array.
    turned = {"model." + name: np.asfortranarray(array) for name, array in arrays.items()}
    write_arrays(files / "updates/client-0.safetensors", turned)
    found = call(fedcoin, files, "--json").json
    assert found == expected


def test_all_files_or_none_have_a_number_of_examples(fedcoin: Any, files: Path) -> None:
    np.savez(files / "updates/client-0.npz", allow_pickle=False, **weights(num_samples=7))
    outcome = call(fedcoin, files)
    assert (outcome.code, "[BAD_SAMPLES]" in outcome.err) == (1, True), outcome.err
    assert "client-1.npz, client-2.npz" in outcome.err


def test_no_file_of_the_folder_is_left_out(fedcoin: Any, files: Path) -> None:
    (files / "updates/.hidden").write_bytes(b"x")
    (files / "updates/client-9.bin").write_bytes(pickle.dumps({"kernel": [1.0]}))
    outcome = call(fedcoin, files)
    assert outcome.code == 1
    assert "client-9.bin is a pickle" in outcome.err


@pytest.mark.slow
@pytest.mark.usefixtures("_worker_processes")
def test_files_of_keras(fedcoin: Any, files: Path) -> None:
    """The whole model as one file, and weights that only Keras can assign."""
    script = (
        "import sys, numpy as np, keras\n"
        "folder = sys.argv[1]\n"
        "model = keras.models.model_from_json(open(sys.argv[2]).read())\n"
        "model.compile('sgd', 'mse')\n"
        "archive = np.load(folder + '/updates/client-1.npz')\n"
        "model.set_weights([np.zeros_like(archive[name]) for name in archive.files])\n"
        "model.save(folder + '/model.keras')\n"
        "model.set_weights([archive[name] for name in archive.files])\n"
        "model.save_weights(folder + '/updates/client-1.weights.h5')\n"
    )
    expected = call(fedcoin, files, "--json").json
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run(
        [sys.executable, "-c", script, str(files), str(files / "model.json")],
        check=True, env=environment, capture_output=True,
    )  # fmt: skip
    (files / "updates/client-1.npz").unlink()
    found = call(fedcoin, files, "--json", "--base", files / "model.keras", model="model.keras")
    assert found.code == 0, found.err
    assert found.json == expected


def test_of_a_partly_trained_model_files_hold_the_trained_weights_alone(
    fedcoin: Any, files: Path
) -> None:
    whole = call(fedcoin, files, "--json").json
    outcome = call(fedcoin, files, "--trained", "kernel")
    assert outcome.code != 0
    assert "has 2 arrays without names, but the model has 1 weight: kernel" in outcome.err
    for path in (files / "updates").iterdir():
        with np.load(path) as weights:
            kernel = weights["arr_0"]
        np.savez(path, kernel=kernel)
    found = call(fedcoin, files, "--json", "--trained", "ker*").json
    assert found["clients"] == whole["clients"]
    wrong = call(fedcoin, files, "--trained", "lora*")
    assert "no weight is named 'lora*'" in wrong.err


def test_near_ties_are_counted_and_explained(fedcoin: Any, files: Path) -> None:
    plain = call(fedcoin, files, "--json").json
    assert plain["near_ties"] == 0
    for path in (files / "updates").iterdir():
        with np.load(path) as weights:
            kernel, bias = weights["arr_0"], weights["arr_1"]
        kernel[:, 1] = kernel[:, 0]
        np.savez(path, kernel, bias)
    assert call(fedcoin, files, "--json").json["near_ties"] > EXAMPLES // 10
    assert "answers are within rounding of a tie" in call(fedcoin, files).err
    smooth = call(fedcoin, files, "--json", "--utility", "log-loss").json
    assert smooth["near_ties"] == 0


def test_models_that_magnify_rounding_errors_are_explained(fedcoin: Any, files: Path) -> None:
    """Two equal inputs have large weights that cancel, but for their last digits."""
    assert call(fedcoin, files, "--json").json["rounding"] == ""
    with np.load(files / "data.npz") as data:
        x, y = data["x"].copy(), data["y"]
    x[:, 1] = x[:, 0]
    np.savez(files / "data.npz", x=x, y=y)
    for path in (files / "updates").iterdir():
        with np.load(path) as weights:
            kernel, bias = weights["arr_0"], weights["arr_1"]
        kernel[0] = 1e7 * (1 + kernel[2] ** 2)
        kernel[1] = -kernel[0]
        np.savez(path, kernel, bias)
    found = call(fedcoin, files)
    assert "of its range with the last digits of the weights" in found.err
    smooth = call(fedcoin, files, "--json", "--utility", "log-loss").json
    assert "with the last digits of the weights" in smooth["rounding"]
