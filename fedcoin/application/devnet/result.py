"""What a devnet came to: the object that ``--json`` prints, the table and the report show."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ClientResult:
    """One client in one round. ``shapley_nano`` is in nano-utility, ``payout`` in sap."""

    address: str
    role: str
    samples: int
    shapley_nano: int
    payout: int


@dataclass(frozen=True, slots=True)
class MinerResult:
    """One miner in one round. ``reward`` is in sap; ``adversary`` is how it lies, if it does."""

    address: str
    committed: bool
    revealed: bool
    inlier: bool
    reward: int
    adversary: str = ""


@dataclass(frozen=True, slots=True)
class RoundResult:
    """One round.

    ``accuracy`` is of the aggregate on the evaluation set, from 0 to 1, as the winner proved it;
    ``evaluations`` are the coalitions that all miners' proved samples stand for; ``settle_seconds``
    is from the block that opened the task to the block that settled it; prices are in sap.
    """

    round: int
    task_id: str
    accuracy: float
    winner: str
    difficulty_nano: int
    schedule: str
    evaluations: int
    settle_seconds: float
    training_price: int
    aggregation_price: int
    mining_price: int
    server: str
    clients: tuple[ClientResult, ...]
    miners: tuple[MinerResult, ...]


@dataclass(frozen=True, slots=True)
class NodeResult:
    """One miner's node at the end. ``rss_bytes`` is of its process without the worker's; ``bond``
    is in sap, and 0 after it was slashed; ``adversary`` is how it lies, if it does."""

    address: str
    height: int
    app_hash: str
    rss_bytes: int
    start_seconds: float
    bond: int
    adversary: str = ""


@dataclass(frozen=True, slots=True)
class DevnetResult:
    """The whole run. Supplies are in sap; afterwards it is what each node counted, if all agree."""

    chain_id: str
    supply_before: int
    supply_after: int
    rounds: tuple[RoundResult, ...]
    nodes: tuple[NodeResult, ...]
    elapsed_seconds: float

    @property
    def agreed(self) -> bool:
        """Do all nodes hold the same state?"""
        return len({(node.height, node.app_hash) for node in self.nodes}) == 1

    @property
    def conserved(self) -> bool:
        """Were coins neither made nor lost?"""
        return self.supply_before == self.supply_after

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields. Only liars have an ``adversary``."""
        plain = dataclasses.asdict(self)
        for miner in (*plain["nodes"], *(m for turn in plain["rounds"] for m in turn["miners"])):
            if not miner["adversary"]:
                del miner["adversary"]
        return plain
