"""The Protocols between the network layer and the node.

The node (`fedcoin.application`) implements `ChainPort`, `TransactionPort`, `ConsensusPort` and
`Importer`; `PeerNetwork` implements `Peers`, and its `consensus` implements `Broadcaster`. All
methods are called on the node's event loop. None may block it for longer than 5 ms; longer work is
awaited.

* `chain_port`: the chain, and appending blocks to it;
* `transaction_port`: transactions that wait for a block;
* `consensus_port`: proposals and votes;
* `peers_port`: the connected peers.
"""
