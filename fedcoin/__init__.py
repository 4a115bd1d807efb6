"""FedCoin: a peer-to-peer payment system for federated learning.

Organisations train a model together; miners compute what each one's update was worth (its
Shapley value), prove it and agree on it; the block that records the agreed vector pays.

Each folder is a layer and imports only from those below it:

* `integrations`: other frameworks' networks and federations, for programs that import them
* `application`: node, coordinator, client, devnet, command line
* `network`: peers, gossip, relay, sync, the gRPC services
* `contract`: the ledger, a deterministic function of blocks
* `consensus`: PoSap's outcome and Tendermint voting, as pure state machines
* `incentive`: Shapley samples, evidence, the payout split
* `learning`: models, data sets, training, utility evaluation
* `data`: keys, hashing, signing, transactions, blocks, artifacts, the store
* `shapley`: estimators of Shapley values, a library that needs no other layer

`testing` simulates networks and dishonest nodes; the product does not import it. `fedcoin.v1` holds
the messages and stubs that the build generates from `proto/`.
"""

__version__ = "0.1.0"
