"""Dishonest nodes: honest nodes in all but one component.

Each strategy is decided apart from how it runs: the same code plays in `campaign_simulation` and as
a real node of a devnet. Nothing here refuses, punishes or counts anything; the honest nodes and the
measurements do.

* `node_components`: the components of each kind of node; `__main__` runs one node as a program;
* `mining_strategies`: what a dishonest miner computes, claims and reveals; `forged_evidence`
  invents what it did not compute; `dishonest_miner` is the node's miner with such a strategy;
* `power_seekers`: miners that bond late or withhold their salts selectively;
* `dishonest_proposals`: what a dishonest proposer leaves out or tries; `block_builders` holds the
  chains of such nodes;
* `equivocating_exchange`: two contradicting votes for one round;
* `hostile_peers`: peers that send old messages, or messages of another network;
* `fund_attacks`: accounts that spend coins on worthless tasks, floods of transfers and
  smallest bonds; `slow_models` is the model of a task that no miner can evaluate in time.

Devnets know the kinds' names from `fedcoin/application/devnet/dishonest_miners.json`.
"""
