"""Models of which some weights are trained: how they are divided, checked and loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.model.artifact_checks.job_checks import check_update_file
from fedcoin.learning.model.artifact_checks.weight_checks import check_weights
from fedcoin.learning.model.artifact_sizes import max_frozen_bytes, max_weights_bytes
from fedcoin.learning.model.frozen_weights import (
    freeze_weights,
    frozen_artifact,
    load_frozen,
)
from fedcoin.learning.model.spec import (
    MAX_SPEC_BYTES,
    check_spec,
    frozen_shapes,
    parse_spec,
    trained_shapes,
)
from fedcoin.v1 import artifact_pb2
from tests.support.small_models import mlp_spec, random_weights

SPEC = mlp_spec()
RAW = SPEC.SerializeToString(deterministic=True)
WEIGHTS = random_weights(SPEC, 1)
WHOLE = encode_tensors(WEIGHTS)


def test_patterns_divide_the_weights_and_the_spec_names_both_parts() -> None:
    divided = freeze_weights(RAW, WHOLE, ["w2", "w[3]"])
    spec = parse_spec(divided.spec)
    assert list(trained_shapes(spec)) == ["w2", "w3"]
    assert list(frozen_shapes(spec)) == ["w0", "w1"]
    assert spec.frozen == compute_artifact_id(divided.frozen)
    parts = {**decode_tensors(divided.trained), **decode_tensors(divided.frozen)}
    assert parts.keys() == WEIGHTS.keys()
    assert all(np.array_equal(parts[name], WEIGHTS[name]) for name in WEIGHTS)
    assert max_weights_bytes(spec) < max_weights_bytes(SPEC)
    assert max_weights_bytes(spec) >= len(divided.trained)
    assert max_frozen_bytes(spec) >= len(divided.frozen)
    assert max_frozen_bytes(SPEC) == 0


@pytest.mark.parametrize("patterns", [[], ["*"], ["w?", "w0"]])
def test_without_frozen_weights_the_model_stays_as_it_was(patterns: list[str]) -> None:
    divided = freeze_weights(RAW, WHOLE, patterns)
    assert (divided.spec, divided.trained, divided.frozen) == (RAW, WHOLE, b"")


def test_a_published_model_keeps_its_division_and_refuses_other_frozen_weights() -> None:
    divided = freeze_weights(RAW, WHOLE, ["w3"])
    assert freeze_weights(divided.spec, WHOLE, []) == divided
    others = encode_tensors(random_weights(SPEC, 2))
    with pytest.raises(RefusalError, match=r"the model was published with") as caught:
        freeze_weights(divided.spec, others, [])
    assert (caught.value.code.name, caught.value.field) == ("BAD_MODEL", "frozen")


def test_a_pattern_without_a_weight_is_refused_with_the_names() -> None:
    with pytest.raises(RefusalError, match=r"no weight is named '\*lora\*'.*are w0, w1, w2, w3"):
        freeze_weights(RAW, WHOLE, ["*lora*"])


@pytest.mark.parametrize(
    ("trained", "frozen"),
    [
        ([], b"\1" * 32),
        (["w0"], b""),
        (["w0"], b"\1" * 31),
        (["w0", "w1", "w2", "w3"], b"\1" * 32),
        (["w1", "w0"], b"\1" * 32),
        (["w0", "w0"], b"\1" * 32),
        (["w9"], b"\1" * 32),
    ],
)
def test_a_spec_says_what_is_frozen_in_one_way_only(trained: list[str], frozen: bytes) -> None:
    spec = mlp_spec()
    spec.trained[:], spec.frozen = trained, frozen
    with pytest.raises(RefusalError) as caught:
        check_spec(spec)
    assert caught.value.code.name == "BAD_MODEL"
    assert caught.value.field in ("trained", "frozen")


def test_an_update_holds_the_trained_weights_alone(tmp_path: Path) -> None:
    divided = freeze_weights(RAW, WHOLE, ["w3"])
    model, update = tmp_path / "model", tmp_path / "update"
    model.write_bytes(divided.spec)
    update.write_bytes(divided.trained)
    check_update_file(model, update)
    update.write_bytes(WHOLE)
    with pytest.raises(RefusalError, match=r"holds \(w0, w1, w2\), which are not trained"):
        check_update_file(model, update)
    with pytest.raises(RefusalError, match=r"lacks \(w3\)"):
        check_weights(parse_spec(divided.spec), {}, "update")


def test_frozen_weights_are_checked_when_they_are_loaded(tmp_path: Path) -> None:
    divided = freeze_weights(RAW, WHOLE, ["w3"])
    spec, path = parse_spec(divided.spec), tmp_path / "frozen"
    path.write_bytes(divided.frozen)
    loaded = load_frozen(spec, path)
    assert list(loaded) == ["w0", "w1", "w2"]
    assert all(np.array_equal(loaded[name], WEIGHTS[name]) for name in loaded)
    assert load_frozen(SPEC, None) == {}
    with pytest.raises(RefusalError, match="is missing"):
        load_frozen(spec, None)
    bad = {**decode_tensors(divided.frozen), "w1": np.full(8, np.nan, np.float32)}
    path.write_bytes(encode_tensors(bad))
    with pytest.raises(RefusalError, match=r"frozen\.w1 holds NaN"):
        load_frozen(spec, path)


def test_the_frozen_artifact_is_read_from_a_stored_model(tmp_path: Path) -> None:
    divided = freeze_weights(RAW, WHOLE, ["w3"])
    for name, content in (("one", divided.spec), ("whole", RAW), ("broken", b"\xff")):
        (tmp_path / name).write_bytes(content)
    assert frozen_artifact(tmp_path / "one") == compute_artifact_id(divided.frozen)
    assert frozen_artifact(tmp_path / "whole") == frozen_artifact(tmp_path / "broken") == b""


def test_what_an_artifact_that_is_no_model_names_is_not_kept(tmp_path: Path) -> None:
    # A campaign costs little and may name any stored artifact as its model.
    for size in (31, 33, MAX_SPEC_BYTES + 1):
        path = tmp_path / str(size)
        path.write_bytes(artifact_pb2.ModelSpec(frozen=bytes(size)).SerializeToString())
        assert frozen_artifact(path) == b""
