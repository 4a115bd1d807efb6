"""Simulate networks of many nodes on five continents, and measure what a block costs and takes."""

from __future__ import annotations

import asyncio
import gc
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from fedcoin.application.node.chain import NewBlock
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.data.messages.genesis import Genesis, parse_genesis, render_genesis
from fedcoin.data.messages.transactions import Transaction, sign_transaction
from fedcoin.network.peers.connections.link import EXCHANGE
from fedcoin.testing.scale_simulation.simulated_channels import Machine
from fedcoin.testing.scale_simulation.simulated_peers import START_MS, SimulatedPeer
from fedcoin.testing.scale_simulation.virtual_time import run_in_virtual_time
from fedcoin.v1 import genesis_pb2
from fedcoin.v1.transaction_pb2 import TransactionBody, Transfer, TransferOutput

DIALLED_PEERS = 8
"""How many peers a node dials, as by default (`peers.max_outbound`)."""
MAX_CALLERS = 32
"""How many peers may dial a node, as by default (`peers.max_inbound`)."""

NUM_PAYERS = 64
"""How many accounts pay, each through one node."""
FEE = 100_000
"""What each transfer pays, in sap."""

STATUS_INTERVAL_S = 2.0
"""As in `PeerOptions`."""


@dataclass(frozen=True, slots=True)
class ScaleSetting:
    """One network to simulate."""

    nodes: int
    # How many of them vote; the others follow.
    validators: int
    # How many blocks are measured, after some that are not.
    blocks: int
    skipped_blocks: int = 1
    # How many transfers are submitted in a second of virtual time, each at a random node.
    transfers_per_second: float = 5.0
    # The line of each node in each direction, in Mbit/s.
    line_mbit: float = 100.0
    # How long a node's processor works on each message of the consensus stream, in ms.
    work_ms: float = 0.0
    # Whether each node is connected to all others.
    is_mesh: bool = False
    seed: int = 1
    # The end of the simulation, in virtual seconds.
    max_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class ScaleResult:
    """What one simulation showed. Counts are means for each node and block."""

    setting: ScaleSetting
    # The mean number of connected peers.
    peers: float
    # From the submission of a transfer to its final block at the same node, in seconds.
    finality_p50: float
    finality_p99: float
    # The mean round in which a block was decided, from 0.
    rounds: float
    # Messages of the consensus stream, by kind.
    votes: float
    proposals: float
    hints: float
    statuses: float
    # Requests and replies of other calls: transactions, announcements, blocks.
    calls: float
    kilobytes: float
    transfers: int
    blocks: int
    # How long the simulation took, in real seconds.
    real_seconds: float


def simulate_scale(setting: ScaleSetting) -> ScaleResult:
    """Simulate one network.

    Args:
        setting: The network.

    Returns:
        What it showed.

    Raises:
        RuntimeError: A node failed, or the blocks were not made in time.
    """
    began = time.monotonic()
    random.seed(setting.seed)
    # The collector of cycles would look through the objects of all nodes again and again.
    gc.collect()
    gc.disable()
    try:
        with tempfile.TemporaryDirectory(prefix="fedcoin-scale-", dir=_ram_folder()) as folder:
            simulation = _Simulation(setting, Path(folder))
            run_in_virtual_time(simulation.run())
    finally:
        gc.enable()
    return simulation.result(time.monotonic() - began)


def _ram_folder() -> Path | None:
    """Choose a folder in memory: hundreds of databases are written at once."""
    shared = Path("/dev/shm")  # noqa: S108 - a fresh folder is made in it
    return shared if shared.is_dir() else None


def _key(name: str) -> KeyPair:
    return KeyPair.from_seed(sha256(b"fedcoin/scale", name.encode()))


class _Simulation:
    def __init__(self, setting: ScaleSetting, folder: Path) -> None:
        self._setting = setting
        self._folder = folder
        self._rng = random.Random(setting.seed)
        self._keys = [_key(f"node {number}") for number in range(setting.nodes)]
        self._payers = [_key(f"payer {number}") for number in range(NUM_PAYERS)]
        # The node that each of them uses.
        self._nodes_of_payers = [self._rng.randrange(setting.nodes) for _ in self._payers]
        self._genesis = self._make_genesis()
        self._nodes: list[SimulatedPeer] = []
        # By hash: the number of the node it was submitted at, and when.
        self._submitted: dict[bytes, tuple[int, float]] = {}
        self._finality: list[float] = []
        self._rounds: list[int] = []
        self._failures: list[str] = []
        self._first_heights: list[int] = []
        self._is_counting = False
        self._num_peers = 0.0

    async def run(self) -> None:
        setting = self._setting
        for number, key in enumerate(self._keys):
            machine = Machine(number, setting.line_mbit * 125_000, setting.work_ms / 1_000)
            votes = number < setting.validators
            database = self._folder / f"{number}.sqlite"
            node = SimulatedPeer(self._genesis, database, key, machine, votes=votes)
            node.chain.on_block(partial(self._note_block, number))
            node.on_failure(lambda name, error, is_vital: self._failures.append(f"{name}: {error}"))
            self._nodes.append(node)
        for node in self._nodes:
            node.start(STATUS_INTERVAL_S)
        for first, second in draw_connections(setting, self._rng):
            self._nodes[first].dial(self._nodes[second])
            self._nodes[second].dial(self._nodes[first])
        loading = asyncio.ensure_future(self._submit())
        try:
            await self._wait_for_height(setting.skipped_blocks)
            self._begin_counting()
            await self._wait_for_height(max(self._first_heights) + setting.blocks)
            self._num_peers = sum(node.num_peers for node in self._nodes) / len(self._nodes)
        finally:
            loading.cancel()
            for node in self._nodes:
                await node.stop()
            # The other ends of their streams end, too.
            await asyncio.sleep(1.0)

    async def _wait_for_height(self, height: int) -> None:
        """Wait until all nodes have a block."""
        loop = asyncio.get_running_loop()
        while min(node.chain.height() for node in self._nodes) < height:
            if self._failures:
                raise RuntimeError(f"a task failed: {self._failures[0]}")
            if loop.time() > self._setting.max_seconds:
                heights = Counter(node.chain.height() for node in self._nodes)
                raise RuntimeError(f"block {height} was not final in time; heights: {heights}")
            await asyncio.sleep(0.05)

    async def _submit(self) -> None:
        """Submit transfers at random nodes, at the moments of a Poisson process."""
        for number in count():
            await asyncio.sleep(self._rng.expovariate(self._setting.transfers_per_second))
            index = self._nodes_of_payers[number % NUM_PAYERS]
            transaction = self._sign(number)
            self._submitted[transaction.hash] = (index, asyncio.get_running_loop().time())
            await self._nodes[index].pool.submit(transaction)

    def _sign(self, number: int) -> Transaction:
        payer = self._payers[number % NUM_PAYERS]
        transfer = Transfer(outputs=[TransferOutput(recipient=payer.address, amount=1)])
        body = TransactionBody(
            chain_id=self._genesis.chain_id,
            nonce=number // NUM_PAYERS,
            fee=FEE,
            expiry_height=self._nodes[0].chain.height() + 500,
            transfer=transfer,
        )
        return sign_transaction(body, payer, self._genesis.hash)

    def _note_block(self, number: int, new: NewBlock) -> None:
        now = asyncio.get_running_loop().time()
        for transaction in new.execution.transactions:
            at, since = self._submitted.get(transaction.hash, (-1, 0.0))
            if at == number and self._is_counting:
                self._finality.append(now - since)
        if number == 0 and self._is_counting:
            self._rounds.append(new.block.header.round)

    def _begin_counting(self) -> None:
        self._is_counting = True
        self._first_heights = [node.chain.height() for node in self._nodes]
        for node in self._nodes:
            node.machine.sent.clear()
            node.machine.sent_bytes = 0

    def result(self, real_seconds: float) -> ScaleResult:
        """Sum up; `run` has ended."""
        sent: Counter[str] = Counter()
        for node in self._nodes:
            sent.update(node.machine.sent)
        # What nodes sent is divided by the blocks that they appended meanwhile.
        appended = sum(
            node.chain.height() - first
            for node, first in zip(self._nodes, self._first_heights, strict=True)
        )
        calls = sum(number for kind, number in sent.items() if "/" in kind) - sent[EXCHANGE]
        finality = sorted(self._finality)
        return ScaleResult(
            setting=self._setting,
            peers=self._num_peers,
            finality_p50=_quantile(finality, 0.5),
            finality_p99=_quantile(finality, 0.99),
            rounds=sum(self._rounds) / len(self._rounds),
            votes=sent["vote"] / appended,
            proposals=sent["proposal"] / appended,
            hints=sent["hints"] / appended,
            statuses=sent["status"] / appended,
            calls=calls / appended,
            kilobytes=sum(node.machine.sent_bytes for node in self._nodes) / appended / 1_000,
            transfers=len(finality),
            blocks=len(self._rounds),
            real_seconds=real_seconds,
        )

    def _make_genesis(self) -> Genesis:
        validators = self._keys[: self._setting.validators]
        funded = [*self._keys, *self._payers]
        message = genesis_pb2.Genesis(
            chain_id="fedcoin-scale",
            time_ms=START_MS - 1_000,
            parameters=genesis_pb2.Parameters(max_block_interval_ms=3_600_000),
            accounts=[
                genesis_pb2.GenesisAccount(
                    address=format_address(key.address), balance=1_000 * SAP_PER_FDC
                )
                for key in funded
            ],
            validators=[
                genesis_pb2.GenesisValidator(
                    public_key=key.public_key.hex(), bond=1_000 * SAP_PER_FDC
                )
                for key in validators
            ],
        )
        return parse_genesis(render_genesis(message))


def draw_connections(setting: ScaleSetting, rng: random.Random) -> list[tuple[int, int]]:
    """Choose which nodes are connected, as each dials a few others.

    Args:
        setting: The network.
        rng: Chooses whom each node dials.

    Returns:
        Pairs of numbers of nodes; no pair occurs twice in either order.
    """
    everybody = range(setting.nodes)
    if setting.is_mesh or setting.nodes <= DIALLED_PEERS + 1:
        return [(first, second) for first in everybody for second in range(first)]
    pairs: dict[frozenset[int], tuple[int, int]] = {}
    inbound: Counter[int] = Counter()
    for first in everybody:
        others = [other for other in everybody if other != first]
        rng.shuffle(others)
        dialled = sum(first == caller for caller, _ in pairs.values())
        for second in others:
            if dialled == DIALLED_PEERS:
                break
            pair = frozenset((first, second))
            if pair not in pairs and inbound[second] < MAX_CALLERS:
                pairs[pair] = (first, second)
                inbound[second] += 1
                dialled += 1
    return list(pairs.values())


def _quantile(ordered: list[float], share: float) -> float:
    """Return the smallest value that a share of all does not exceed; NaN for none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
