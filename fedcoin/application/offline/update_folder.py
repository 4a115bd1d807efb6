"""A folder of updates in any format, with a table of its clients, as a publication.

So a federation that was trained by any framework has its round valued and paid: what it trained is
in files, and this module turns them into the artifacts of a task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fedcoin.application.configuration.coordinator_config import CoordinatorConfig
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.offline.client_table import TableRow, read_client_table
from fedcoin.application.offline.client_weights import (
    complete_samples,
    load_weights,
    write_model,
)
from fedcoin.application.offline.model_files import load_spec
from fedcoin.application.offline.publication import (
    Publication,
    PublishedClient,
    PublishedTask,
    Waiting,
    publish,
)
from fedcoin.application.offline.valuation_files import list_client_files, read_evaluation
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.measures.terms import NAMES, TARGET_UTILITIES, TERMS, format_utility
from fedcoin.learning.model.aggregation import average_files
from fedcoin.learning.model.artifact_checks.evaluation_set_checks import check_shards
from fedcoin.learning.workers.jobs import explain_base
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1 import task_pb2

OpenKey = Callable[[TableRow], KeyPair]
"""Opens the key of a row of the table."""


@dataclass(frozen=True, slots=True)
class UpdateFiles:
    """What a federation's round is read from."""

    model: Path
    """Keras' JSON, a `.keras` file, an ONNX file, or a serialised ModelSpec."""
    base: Path
    """The weights that all clients started from, in a format of `array_files.open_arrays`; frozen
    ones included."""
    updates: Path
    """A folder with such a file for each client."""
    data: Path
    """The evaluation set, as `read_evaluation` reads it."""
    table: Path
    """The clients, as `read_client_table` reads them."""


async def publish_updates(
    files: UpdateFiles,
    open_key: OpenKey,
    node: NodeClient,
    key: KeyPair,
    chain: ChainIdentity,
    config: CoordinatorConfig,
    *,
    report: Callable[[str], None] = lambda line: None,
    waiting: Waiting = nullcontext,
) -> PublishedTask:
    """Open a campaign and a task for a round's files. Returns once both are in final blocks.

    Everything is read, checked and uploaded before the budget goes into escrow.

    Args:
        files: The model, base weights, updates, evaluation set and table of a round.
        open_key: Opens the clients' keys, which sign the updates.
        node: A connected client of the node to which transactions and artifacts go.
        key: Pays the budget as the model requester, and is the campaign's server.
        chain: The network that the key signs for.
        config: Budget, prices, sampling, windows, the list of clients, the measure and the scale of
            the inputs.
        report: Takes one line of text for each event worth logging.
        waiting: Is entered while the blocks of both transactions are waited for.

    Returns:
        The ids of both.

    Raises:
        RefusalError: A code of `prepare_publication`, such as BAD_ARGUMENT or WRONG_SHAPE, when a
            file is not valid; BAD_CONFIG or NOT_LISTED when the list of clients is invalid or does
            not hold a client.
        RpcError: The chain refuses a transaction, or the node an upload.
        WorkerError: A worker process died twice.
    """
    with TemporaryDirectory(prefix="fedcoin-publish-") as folder:
        publication = await prepare_publication(
            files,
            Path(folder),
            open_key,
            utility=NAMES[config.utility],
            scale=config.input_scale,
            trained=config.trained,
            report=report,
        )
        return await publish(publication, node, key, chain, config, report=report, waiting=waiting)


async def prepare_publication(
    files: UpdateFiles,
    folder: Path,
    open_key: OpenKey,
    *,
    utility: int,
    scale: float = 0.0,
    trained: Sequence[str] = (),
    report: Callable[[str], None] = lambda line: None,
) -> Publication:
    """Read and check a round's files, and write the artifacts of its task.

    Args:
        files: The model, base weights, updates, evaluation set and table of a round.
        folder: An empty folder for the artifacts. It must last until they are published.
        open_key: Opens the clients' keys.
        utility: What models are measured by, a value of the enum `Utility`.
        scale: What to divide the evaluation set's inputs by; 0 for what its file says, or nothing.
        trained: Patterns of the names of the weights that were trained (`freeze_weights`), which
            alone are in the clients' files; none for all.
        report: Takes a line of text about the inputs, the model, and each file that was changed on
            reading.

    Returns:
        The artifacts' paths below `folder`, and each client's key, number of examples and update.

    Raises:
        RefusalError: BAD_ARGUMENT when the table is invalid, does not name the folder's files one
            to one, or names a client twice; BAD_SAMPLES when only some clients have a number of
            examples, or table and file have different ones; NO_UPDATES, NO_FILE or UNREADABLE_FILE
            when a file is missing or cannot be read; BAD_MODEL, WRONG_NAMES, WRONG_SHAPE,
            NOT_FINITE or another code of `LearningCode` when model, weights and evaluation set do
            not fit together; what `open_key` raises.
        WorkerError: A worker process died twice.
    """
    paths = list_client_files(files.updates)
    rows = _match_rows(files, paths)
    keys = await asyncio.to_thread(_open_keys, files, rows, open_key)
    evaluation = await asyncio.to_thread(read_evaluation, files.data, scale, utility)
    report(f"{files.data}: {evaluation.inputs.describe()}")
    shard = folder / "evaluation"
    shard.write_bytes(evaluation.tensors)
    workers = WorkerPool()
    try:
        spec = await load_spec(
            workers, files.model, None, report, has_classes=utility not in TARGET_UTILITIES
        )
        await workers.run("while checking", check_shards, spec, [evaluation.tensors], utility)
        written = await write_model(workers, folder, spec, files.base, trained)
        for remark in written.remarks:
            report(f"{files.base.name}: {remark}")
        model, base, frozen = written.model, written.base, written.frozen
        size = evaluation.num_examples
        worth = await workers.measure_model(model, base, shard, utility, frozen)
        report(f"{files.base}: {TERMS[utility].title} {format_utility(utility, worth, size)}")
        if utility == task_pb2.UTILITY_ACCURACY:
            explained = await workers.run("while counting labels", explain_base, shard, worth)
            if explained:
                report(f"{files.data}: {explained}")
        weights = [folder / f"update-{number}" for number in range(len(paths))]
        counts = [
            await _write_weights(workers, path, written.spec, target, report)
            for path, target in zip(paths, weights, strict=True)
        ]
        average = folder / "average"
        average.write_bytes(
            await workers.run("while averaging", average_files, weights, [1] * len(weights))
        )
        explained = await workers.explain_rounding(model, average, shard, utility, frozen)
        if explained:
            report(f"the average of all updates: {explained}")
    finally:
        await workers.stop()
    num_samples = complete_samples(paths, _merge_samples(rows, counts))
    names = [row.name for row in rows]
    clients = zip(weights, num_samples, keys, names, strict=True)
    return Publication(
        model, base, shard, size, tuple(PublishedClient(*client) for client in clients), frozen
    )


def _match_rows(files: UpdateFiles, paths: Sequence[Path]) -> list[TableRow]:
    """Order the table's rows as the folder's files; refuse a file or a row without the other."""
    rows: Mapping[str, TableRow] = {row.file: row for row in read_client_table(files.table)}
    names = {path.name for path in paths}
    missing, extra = sorted(names - set(rows)), sorted(set(rows) - names)
    if missing or extra:
        lacks = f"does not name {', '.join(missing[:5])} of {files.updates}" if missing else ""
        names_more = f"names {', '.join(extra[:5])}, which {files.updates} lacks" if extra else ""
        raise _bad_table(files, " and ".join(part for part in (lacks, names_more) if part))
    return [rows[path.name] for path in paths]


def _open_keys(files: UpdateFiles, rows: Sequence[TableRow], open_key: OpenKey) -> list[KeyPair]:
    owners: dict[bytes, str] = {}
    keys = []
    for row in rows:
        key = open_key(row)
        address = format_address(key.address)
        if row.address and row.address != key.address:
            raise _bad_table(files, f"has another address for {row.file} than its key's, {address}")
        if key.address in owners:
            raise _bad_table(
                files,
                f"has {address} for {owners[key.address]} and for {row.file}; a task takes one "
                "update of each client",
            )
        owners[key.address] = row.file
        keys.append(key)
    return keys


async def _write_weights(
    workers: WorkerPool, path: Path, spec: bytes, target: Path, report: Callable[[str], None]
) -> int | None:
    """Write a file's weights as tensors; return the number of examples that it holds."""
    weights = await load_weights(workers, path, spec)
    await asyncio.to_thread(target.write_bytes, weights.tensors)
    for remark in weights.remarks:
        report(f"{path.name}: {remark}")
    return weights.num_samples


def _merge_samples(rows: Sequence[TableRow], counts: Sequence[int | None]) -> list[int | None]:
    for row, held in zip(rows, counts, strict=True):
        if held is not None and row.num_samples not in (None, held):
            raise RefusalError(
                LearningCode.BAD_SAMPLES,
                f"{row.file} holds num_samples {held}, but the table says {row.num_samples}; "
                "correct one of them",
                field="num_samples",
            )
    return [row.num_samples or held for row, held in zip(rows, counts, strict=True)]


def _bad_table(files: UpdateFiles, problem: str) -> RefusalError:
    return RefusalError(
        ApplicationCode.BAD_ARGUMENT, f"the table of clients {files.table} {problem}", field="table"
    )
