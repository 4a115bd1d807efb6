"""What a program needs to use a devnet that stays up after its last round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fedcoin.application.configuration.home import NODE_KEY
from fedcoin.application.devnet.plan import DevnetPlan
from fedcoin.data.crypto.addresses import format_address


@dataclass(frozen=True, slots=True)
class StandingNetwork:
    """The addresses, files and coins of a devnet whose nodes go on running."""

    # The name of the network.
    chain_id: str
    # The path of genesis.json.
    genesis: str
    # Where the nodes' APIs listen, as host:port.
    nodes: tuple[str, ...]
    # The address of the explorer's page; empty without one.
    explorer: str
    # The home folder of a key with coins that no running program uses.
    payer_home: str
    # The address of that key, in bech32m.
    payer: str
    # The seed of that key: 32 bytes in hex. It is no secret, since the devnet's seed leads to it.
    payer_seed: str

    def to_json(self) -> dict[str, Any]:
        """Convert to plain values, in the order of the fields."""
        return {
            "genesis": self.genesis,
            "nodes": list(self.nodes),
            "explorer": self.explorer,
            "payer_home": self.payer_home,
            "payer": self.payer,
            "payer_seed": self.payer_seed,
        }

    def lines(self) -> list[str]:
        """Describe the network to a person.

        Returns:
            Lines of text.
        """
        return [
            "The network stays up until Ctrl-C.",
            *(f"Node: {node}" for node in self.nodes),
            *([f"Explorer: {self.explorer}"] if self.explorer else []),
            f"Genesis: {self.genesis}",
            f"Coins to pay with: {self.payer}, in the home {self.payer_home}",
        ]


def describe_network(plan: DevnetPlan) -> StandingNetwork:
    """Describe a devnet whose training has ended.

    Args:
        plan: The devnet. Its coordinator has ended, so that its key can pay.

    Returns:
        What other programs need.
    """
    payer = plan.coordinator
    return StandingNetwork(
        chain_id=plan.chain_id,
        genesis=str(payer.home.genesis_path.resolve()),
        nodes=tuple(miner.api for miner in plan.miners),
        explorer=f"http://{plan.explorer_listener}/" if plan.explorer_listener else "",
        payer_home=str(payer.home.root.resolve()),
        payer=format_address(payer.address),
        payer_seed=payer.home.key(NODE_KEY).seed.hex(),
    )
