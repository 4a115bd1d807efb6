"""A write that ends at any of its points leaves the database and the files whole."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import fedcoin
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.atomic_files import publish_file, replace_file
from fedcoin.data.failpoints import Failpoint, reach, watch
from fedcoin.data.messages.blocks import build_block
from fedcoin.data.storage.block_tables import BlockEntry
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.vote_mark import VoteMark, VoteMarkFile
from tests.support.sample_blocks import genesis_of, make_header

COMMITTED = Failpoint.TRANSACTION_COMMITTED
TRANSACTION = (Failpoint.TRANSACTION_BEGUN, Failpoint.TRANSACTION_WRITTEN, COMMITTED)
FILE = (
    Failpoint.FILE_WRITTEN,
    Failpoint.FILE_SYNCED,
    Failpoint.FILE_RENAMED,
    Failpoint.FILE_DONE,
)


class Killed(BaseException):
    """The end of the process at a failpoint."""


@pytest.fixture(autouse=True)
def nothing_watched() -> Iterator[None]:
    yield
    watch(None)


def kill_at(point: Failpoint) -> None:
    def kill(reached: Failpoint, subject: str) -> None:
        if reached is point:
            watch(None)
            raise Killed

    watch(kill)


def run_of(store: ChainStore, count: int) -> list[BlockEntry]:
    height, parent, entries = store.height(), store.tip_hash(), []
    for _ in range(count):
        height += 1
        block = build_block(make_header(height, parent), b"", [])
        entries.append(BlockEntry(block, b"%d" % height, [], {b"height": b"%d" % height}, []))
        parent = block.hash
    return entries


@pytest.mark.parametrize("point", TRANSACTION)
def test_a_run_of_blocks_is_stored_as_a_whole_or_not_at_all(
    tmp_path: Path, point: Failpoint
) -> None:
    genesis = genesis_of()
    with ChainStore.open(tmp_path / "chain.sqlite", genesis) as store:
        store.append_all(run_of(store, 2))
        kill_at(point)
        with pytest.raises(Killed):
            store.append_all(run_of(store, 3))
    with ChainStore.open(tmp_path / "chain.sqlite", genesis) as store:
        height = 5 if point is COMMITTED else 2
        assert store.height() == height
        assert store.get(b"height") == b"%d" % height
        assert store.integrity_faults() == []
        store.append_all(run_of(store, 1))


@pytest.mark.parametrize("point", FILE)
@pytest.mark.parametrize("write", [replace_file, publish_file])
def test_a_file_is_whole_under_its_name(
    tmp_path: Path, point: Failpoint, write: Callable[..., None]
) -> None:
    path, part = tmp_path / "file", tmp_path / "draft"
    is_replaced = write is replace_file
    if is_replaced:
        path.write_bytes(b"old")
    else:
        part.write_bytes(b"new")
    kill_at(point)
    with pytest.raises(Killed):
        write(path, b"new") if is_replaced else write(part, path)
    if point in FILE[2:]:
        assert path.read_bytes() == b"new"
    elif is_replaced:
        assert path.read_bytes() == b"old"
    else:
        assert not path.exists()


def test_a_mark_that_was_written_is_read(tmp_path: Path) -> None:
    file = VoteMarkFile(tmp_path / "key.votes")
    file.lease(VoteMark(leased=100))
    kill_at(Failpoint.MARK_WRITTEN)
    with pytest.raises(Killed):
        file.note(VoteMark(leased=100, kind="prevote", height=7))
    assert file.read() == VoteMark(leased=100, kind="prevote", height=7)


@pytest.mark.parametrize("point", [Failpoint.CHUNK_WRITTEN, *FILE])
def test_an_upload_that_is_cut_off_is_resumed_whole(tmp_path: Path, point: Failpoint) -> None:
    content = b"content" * 100
    kill_at(point)
    with pytest.raises(Killed):
        ArtifactStore(tmp_path, 1 << 30).put(content)
    store = ArtifactStore(tmp_path, 1 << 30)
    artifact = store.put(content)
    assert store.check(artifact)
    assert list(store.ids()) == [artifact]


def test_nothing_watches_normally() -> None:
    reach(Failpoint.FILE_DONE, "file")


def test_nothing_but_tests_watches_the_points() -> None:
    """No variable of the environment, setting or message can end a node at a failpoint."""
    package = Path(fedcoin.__file__).parent
    calls = [
        f"{path.relative_to(package)}:{node.lineno}"
        for path in package.rglob("*.py")
        if "failpoints" in (text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.alias)
        and node.name in ("watch", "_watchers", "failpoints", "fedcoin.data.failpoints")
    ]
    assert calls == []
