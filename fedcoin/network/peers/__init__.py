"""Peers: the network of nodes, and the messages between them.

This folder decides which nodes are trusted with a connection, which messages are passed on to whom,
and where missing data is fetched. It does not know the rules of blocks and transactions: it asks
the ports of `fedcoin.network.ports`, and counts their refusals against the peer that sent the
message. Queues, caches, books and running calls are bounded; a peer that is too slow is dropped
and may come back.

* `connections`: addresses, handshakes, and the set of connected peers
* `protection`: limits, reputation, bans, send queues
* `gossip`: transactions, proposals and votes
* `sync`: blocks, artifacts and snapshots
* `peer_network`: all of these, as the node uses them
"""
