"""The results of a devnet: what `--json` prints, and what tables and the report show."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ClientResult:
    """The result of one client in one round."""

    # In bech32m.
    address: str
    # "honest", "mislabelled" or "free rider".
    role: str
    # Training examples of the client.
    samples: int
    # The Shapley value, in nano-utility: billionths of the largest utility.
    shapley_nano: int
    # The client's payment in sap.
    payout: int
    # What the client calls itself; empty for no name.
    name: str = ""


@dataclass(frozen=True, slots=True)
class MinerResult:
    """The result of one miner in one round."""

    # In bech32m.
    address: str
    # Whether the miner committed to a vector of Shapley values.
    committed: bool
    # Whether the miner's evidence was accepted.
    revealed: bool
    # Whether the miner's vector was within the difficulty D of the median, and so counted.
    inlier: bool
    # The miner's payment in sap.
    reward: int
    # The kind of a dishonest miner, by its name in `devnet --adversary`; empty for an honest one.
    adversary: str = ""


@dataclass(frozen=True, slots=True)
class RoundResult:
    """The values and payments of one settled round of a devnet."""

    # The round's number, from 1.
    round: int
    # 64 hex digits.
    task_id: str
    # Name of the measure, such as "accuracy" (`learning.measures.terms`).
    measure: str
    # Utility of the aggregate on the evaluation set, from 0 to 1, as the winner proved it.
    utility: float
    # The winning miner's address.
    winner: str
    # The difficulty D, in nano-utility.
    difficulty_nano: int
    # "exact", "permutation" or "antithetic".
    schedule: str
    # Coalitions that all miners evaluated for the samples that they proved.
    evaluations: int
    # The time from the block that opened the task to the block that settled it, by the blocks'
    # times.
    settle_seconds: float
    # What the round paid for training, in sap: to its clients, or back to the requester when the
    # price is split in proportion and no value is positive.
    training_price: int
    # The round's other prices, in sap.
    aggregation_price: int
    mining_price: int
    # The coordinator's address.
    server: str
    clients: tuple[ClientResult, ...]
    miners: tuple[MinerResult, ...]
    # What to know before reading the values (`explain_by_commonest`); empty for nothing.
    note: str = ""


@dataclass(frozen=True, slots=True)
class NodeResult:
    """The state of one miner's node at the end of a devnet."""

    # The miner's address, in bech32m.
    address: str
    # The height of its latest final block.
    height: int
    # 64 hex digits.
    app_hash: str
    # Memory of the node's process without its workers, in bytes.
    rss_bytes: int
    # The time from the start of the process until all its services answered.
    start_seconds: float
    # The miner's bond in sap; 0 after it was slashed.
    bond: int
    # The kind of a dishonest miner, by its name in `devnet --adversary`; empty for an honest one.
    adversary: str = ""


@dataclass(frozen=True, slots=True)
class DevnetResult:
    """The results of a whole run of a devnet."""

    # The network's name.
    chain_id: str
    # The supply in sap at genesis, and at the end. If the nodes disagree at the end, the supply of
    # a node that differs from genesis.
    supply_before: int
    supply_after: int
    rounds: tuple[RoundResult, ...]
    nodes: tuple[NodeResult, ...]
    # The time from the start of the command to the last payment, by the monotonic clock.
    elapsed_seconds: float

    @property
    def has_one_state(self) -> bool:
        """True when all nodes are at one height with one app hash."""
        return len({(node.height, node.app_hash) for node in self.nodes}) == 1

    @property
    def is_supply_conserved(self) -> bool:
        """True when no coin was created or lost during the run."""
        return self.supply_before == self.supply_after

    def to_json(self) -> dict[str, Any]:
        """Convert to plain values, in the order of the fields.

        Only dishonest miners and their nodes have an `adversary`.
        """
        plain = dataclasses.asdict(self)
        rounds = plain["rounds"]
        for miner in (*plain["nodes"], *(miner for round in rounds for miner in round["miners"])):
            if not miner["adversary"]:
                del miner["adversary"]
        return plain
