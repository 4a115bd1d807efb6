"""Connections: find peers, prove identities, and keep the set of connected peers.

This folder decides which addresses are dialled, who may connect, and when a peer must leave. It
does not know what peers tell each other: `gossip` and `sync` do.

* `endpoints`, `address_book`, `peer_exchange`: addresses, where they are kept, how they are learnt
* `dialer`, `link`, `security`: dial peers, and keep an authenticated channel to each
* `handshake`, `peer_service`: prove node keys in both directions; the server's side of it
* `peer`, `peer_set`: one peer, and the bounded set of them
* `peer_guard`: the checks in front of every call from a peer
"""
