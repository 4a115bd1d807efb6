"""A folder of updates and a table of clients become the artifacts of a task, or are refused."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fedcoin.application.configuration.home import Home
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.offline.client_keys import open_client_key
from fedcoin.application.offline.publication import Publication
from fedcoin.application.offline.update_folder import UpdateFiles, prepare_publication
from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.v1 import task_pb2
from tests.support.keys import ALICE
from tests.support.update_files import KEYS, NAMES, write_update_files

pytestmark = pytest.mark.usefixtures("inline_workers")


@pytest.fixture
def files(tmp_path: Path) -> UpdateFiles:
    return write_update_files(tmp_path)


async def prepare(files: UpdateFiles, lines: list[str] | None = None) -> Publication:
    root = files.updates.parent
    folder = root / "artifacts"
    folder.mkdir(exist_ok=True)
    report = (lines if lines is not None else []).append
    opener = partial(open_client_key, Home(root / "home"), root, None)
    accuracy = task_pb2.UTILITY_ACCURACY
    return await prepare_publication(files, folder, opener, utility=accuracy, report=report)


async def test_files_of_two_formats(files: UpdateFiles) -> None:
    lines: list[str] = []
    publication = await prepare(files, lines)
    assert [client.key.address for client in publication.clients] == [
        KEYS[name].address for name in NAMES
    ]
    assert [client.num_samples for client in publication.clients] == [100, 101, 102]
    with np.load(files.updates / "anna.npz") as anna:
        held = decode_tensors(publication.clients[0].weights.read_bytes())
        assert np.array_equal(held["kernel"], anna["kernel"])
    assert publication.evaluation_size == 120
    assert [line for line in lines if "base.npz: accuracy" in line]


async def test_a_frequent_label_that_beats_the_base_model_is_said(files: UpdateFiles) -> None:
    with np.load(files.data) as data:
        x, y = data["x"], data["y"]
    for frequent, is_said in ((y, False), (np.where(np.arange(len(y)) % 10 < 9, 2, y), True)):
        lines: list[str] = []
        np.savez(files.data, x=x, y=frequent)
        await prepare(files, lines)
        assert any("data.npz: always answering 2" in line for line in lines) is is_said


async def test_keys_of_the_home_by_name_and_address(files: UpdateFiles) -> None:
    home = Home(files.updates.parent / "home")
    home.add_key("anna", KEYS["anna"])
    home.add_key("second", KEYS["ben"])
    ben = format_address(KEYS["ben"].address)
    files.table.write_text(
        f"file,key,address\nanna.npz,anna,\nben.safetensors,,{ben}\ncarl.safetensors,carl.key,\n"
    )
    publication = await prepare(files)
    assert [client.key.address for client in publication.clients] == [
        KEYS[name].address for name in NAMES
    ]
    # Nothing says how many examples they have: each counts the same.
    assert [client.num_samples for client in publication.clients] == [1, 1, 1]


@pytest.mark.parametrize(
    ("row", "code", "problem"),
    [
        ("ben.safetensors,ben.key,5\ncarl.pt,carl.key,5", ApplicationCode.BAD_ARGUMENT,
         "does not name carl.safetensors of"),
        ("ben.safetensors,ben.key,5\ncarl.safetensors,ben.key,5", ApplicationCode.BAD_ARGUMENT,
         "for ben.safetensors and for carl.safetensors; a task takes one"),
        ("ben.safetensors,ben.key,5\ncarl.safetensors,other.key,5", ApplicationCode.NO_FILE,
         "there is no key file"),
        ("ben.safetensors,ben.key,5\ncarl.safetensors,nobody,5", ApplicationCode.NO_KEY,
         "has no key 'nobody'"),
        ("ben.safetensors,ben.key,\ncarl.safetensors,carl.key,5", LearningCode.BAD_SAMPLES,
         "ben.safetensors lack num_samples"),
    ],
)  # fmt: skip
async def test_tables_that_do_not_fit(
    files: UpdateFiles, row: str, code: object, problem: str
) -> None:
    files.table.write_text(f"file,key,num_samples\nanna.npz,anna.key,5\n{row}\n")
    with pytest.raises(RefusalError) as caught:
        await prepare(files)
    assert caught.value.code is code
    assert problem in caught.value.message


async def test_addresses_that_nobody_can_sign_for(files: UpdateFiles) -> None:
    rows = "".join(f"{file.name},,{format_address(ALICE.address)}\n" for file in _updates(files))
    files.table.write_text("file,key,address\n" + rows)
    with pytest.raises(RefusalError, match="only that key can sign its update") as caught:
        await prepare(files)
    assert caught.value.code is ApplicationCode.NO_KEY
    files.table.write_text("file,key,address\n" + rows.replace(",,", ",anna.key,"))
    with pytest.raises(RefusalError, match=r"has another address for anna\.npz"):
        await prepare(files)


async def test_numbers_of_examples_that_contradict(files: UpdateFiles) -> None:
    with np.load(files.updates / "anna.npz") as anna:
        np.savez(files.updates / "anna.npz", **anna, num_samples=7)
    with pytest.raises(RefusalError, match="holds num_samples 7, but the table says 100") as caught:
        await prepare(files)
    assert caught.value.code is LearningCode.BAD_SAMPLES


def _updates(files: UpdateFiles) -> list[Path]:
    return sorted(files.updates.iterdir())
