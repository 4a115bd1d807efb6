"""Peers: who this node talks to, and what passes between them.

This part decides whom to trust with a connection, what to hand on to whom, and where to get
what is missing. In the order in which a peer meets it:

1. `endpoints`, `address_book`, `dialer`: where peers are. Seeds are dialled for ever, others
   from what peers tell (`exchange`), and whoever dialled us is dialled back, so that either
   side can call the other.
2. `handshake`, `link` (our calls), `peer_service` (theirs): both prove their node keys; a
   session goes with every further call.
3. `gate`, with the table in `limits`: what each call has to pass; `score` and `bans`: what
   becomes of a peer that abuses it. `peer_set` is the one place that lets peers in and out.
4. `consensus_stream`: proposals and votes, flooded; `relay`: transactions; `gossip`: blocks
   that are final, for those who were away; `sync`: catching up on them;
   `artifact_fetcher`: model weights and data sets.
5. `network` puts it together behind `PeerNetwork`, which is all that the node sees.

It does not know what a block or a transaction has to be like: it asks the ports of
`fedcoin.network.ports`, and counts their refusals against whoever sent it. What it keeps is
bounded: queues, caches, books and calls under way; a peer that cannot keep up is dropped and
may come back.
"""
