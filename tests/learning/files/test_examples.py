from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.files.examples import ALL, TEST, TRAIN, read_examples
from fedcoin.learning.files.labels import read_labels
from fedcoin.learning.files.table_files import read_table

PATH = Path("file")
CLASSES = [2, 0, 1, 2]


@pytest.mark.parametrize(
    ("array", "remark"),
    [
        (np.array(CLASSES, np.uint8), ""),
        (np.array(CLASSES, ">i4")[:, None], ""),
        (np.array(CLASSES, np.float32), "whole float32"),
        (np.eye(3, dtype=np.uint8)[CLASSES], "one-hot"),
        (np.eye(3)[CLASSES], "one-hot"),
        (np.array(CLASSES) + 1, "--first-label 1"),
    ],
)
def test_labels_as_people_have_them(array: np.ndarray[Any, Any], remark: str) -> None:
    labels, remarks = read_labels(PATH, "y", array)
    shift = int("first" in remark)
    assert labels.dtype == np.int64
    assert labels.tolist() == [label + shift for label in CLASSES]
    assert remark in " ".join(remarks)
    assert bool(remark) == bool(remarks)


@pytest.mark.parametrize(
    ("array", "code", "sentence"),
    [
        (np.array(["cat", "dog"]), LearningCode.WRONG_DTYPE, "'cat', 'dog'"),
        (np.array(["cat"]), LearningCode.WRONG_DTYPE, "a measure of regression takes no text"),
        (np.array([0.0, 1.5]), LearningCode.WRONG_DTYPE, "label 1.5 in row 1"),
        (np.array([0.0, np.nan]), LearningCode.WRONG_DTYPE, "row 1"),
        (np.array([-1, 1]), LearningCode.LABEL_OUT_OF_RANGE, "from -1 to 1"),
        (np.array([0, 100_000]), LearningCode.LABEL_OUT_OF_RANGE, "99999"),
        (np.array([2**63], np.uint64), LearningCode.LABEL_OUT_OF_RANGE, "99999"),
        (np.array([[1, 0], [1, 1]]), LearningCode.WRONG_SHAPE, "row 1"),
        (np.zeros((2, 2, 2), int), LearningCode.WRONG_SHAPE, "(2, 2, 2)"),
        (np.array([1j]), LearningCode.WRONG_DTYPE, "complex"),
    ],
)
def test_labels_that_are_none(
    array: np.ndarray[Any, Any], code: LearningCode, sentence: str
) -> None:
    with pytest.raises(RefusalError) as caught:
        read_labels(PATH, "y", array)
    assert caught.value.code is code
    assert sentence in caught.value.message


def refusal(path: Path, *parts: str) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        read_examples(path, parts or (ALL, TRAIN, TEST))
    return caught.value


def test_names_of_parts(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    x, y = np.zeros((3, 2)), np.arange(3)
    for names in (("x", "y"), ("X", "y"), ("images", "labels"), ("data", "target")):
        np.savez(path, allow_pickle=False, **{names[0]: x, names[1]: y})
        assert read_examples(path, (TEST, ALL)).names == {ALL: names}
    for names in (("X_train", "y_train"), ("train_images", "train_labels")):
        np.savez(path, allow_pickle=False, **{names[0]: x, names[1]: y}, other=x)
        assert read_examples(path, (TRAIN,)).names == {TRAIN: names}
    np.savez(path, x_train=x)
    assert "both of x_train and y_train" in refusal(path).message
    np.savez(path, pictures=x, y=y)
    assert "it holds pictures, y" in refusal(path).message
    np.savez(path, x=x, y=y[:2])
    assert refusal(path).code is LearningCode.WRONG_SHAPE
    np.savez(path, x=x, y=np.int64(3))
    assert refusal(path).code is LearningCode.WRONG_SHAPE
    np.savez(path, x=np.array([{}]), y=y[:1])
    assert "Python objects" in refusal(path).message


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("age,dose,Label\n3,1e2,1\n4,.5,0\n", ""),
        ("\ufeffage;dose;label\n3;100;1\n4;0.5;0\n\n", ""),
        ('dose\toutcome\tage\r\n100\t1\t3\r\n"0.5"\t0\t4\r\n', "outcome"),
    ],
)
def test_tables(tmp_path: Path, text: str, label: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    table = read_table(path, label)
    assert sorted(table.columns) == ["age", "dose"]
    columns = dict(zip(table.columns, table.x.T.tolist(), strict=True))
    assert columns == {"age": [3, 4], "dose": [100, 0.5]}
    assert table.y.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("a,b,label\n1,x,0\n", LearningCode.WRONG_DTYPE, "'x' in column 'b', row 1"),
        ("a;b;label\n1;2;0\n1;2,5;0\n", LearningCode.WRONG_DTYPE, "with a point"),
        ("a,b,label\n1,,0\n", LearningCode.NOT_FINITE, "column 'b', row 1"),
        ("a,b,label\n1,NA,0\n", LearningCode.NOT_FINITE, "fill"),
        ("a,b,label\n1,inf,0\n", LearningCode.NOT_FINITE, "'b'"),
        ("a,b,label\n1,2,3,4\n", LearningCode.UNREADABLE_FILE, "4 cells in row 1"),
        ("a,b,c\n1,2,3\n", LearningCode.WRONG_NAMES, "the columns a, b, c"),
        ("a,y,label\n1,2,3\n", LearningCode.WRONG_NAMES, "--label"),
        ("1,2,2\n1,2,3\n", LearningCode.UNREADABLE_FILE, "no header"),
        ("a,a,label\n1,2,3\n", LearningCode.UNREADABLE_FILE, "differently"),
    ],
)
def test_tables_that_are_refused(
    tmp_path: Path, text: str, code: LearningCode, sentence: str
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    found = refusal(path)
    assert found.code is code
    assert sentence in found.message


def test_parquet_files(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    import pyarrow

    path = tmp_path / "table.parquet"

    def write(**columns: Any) -> Path:
        parquet.write_table(pyarrow.table(columns), path)
        return path

    table = read_table(write(age=[3, 4], ill=[True, False], label=[1.0, 0.0]))
    assert table.columns == ("age", "ill")
    assert table.x.tolist() == [[3, 1], [4, 0]]
    assert table.y.tolist() == [1, 0]
    assert read_table(write(a=[1], label=["no"])).y.tolist() == ["no"]
    assert refusal(write(a=[1, None], label=[0, 1])).code is LearningCode.NOT_FINITE
    assert refusal(write(a=["x"], label=[0])).code is LearningCode.WRONG_DTYPE
    whole = write(a=[1.0], label=[0]).read_bytes()
    for place in range(4, len(whole), 7):
        path.write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
        try:
            read_table(path)
        except RefusalError:
            continue


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="a,;\n\"'1.-e\t\x00é", max_size=60), st.booleans())
def test_any_text(text: str, has_header: bool) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes((b"a,label\n" if has_header else b"") + text.encode())
        try:
            assert read_table(path).x.shape[1] >= 1
        except RefusalError:
            return
