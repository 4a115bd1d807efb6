"""Connections: find peers, prove identities, and keep the set of connected peers.

This folder decides which addresses are dialled, who may connect, and when a peer must leave. It
does not know what peers tell each other: `gossip` and `sync` do.

* `endpoints`, `node_addresses`: addresses of listeners, and with the key of the node there
* `address_book`, `peer_exchange`: where addresses are kept, and how they are learnt
* `dialer`, `link`, `security`: dial peers, and keep an authenticated channel to each
* `tls_files`: the TLS files, read again when they change
* `handshake`, `peer_service`: prove node keys in both directions; the server's side of it
* `own_addresses`: the addresses for which this node signs handshakes
* `peer`, `peer_set`, `inbound_slots`: one peer, the bounded set of them, and who gets its places
* `peer_guard`: the checks in front of every call from a peer
"""
