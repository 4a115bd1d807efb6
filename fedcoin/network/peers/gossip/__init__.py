"""Gossip: pass transactions, proposals and votes from peer to peer.

This folder decides which peer gets which message, and when a peer is too slow or at fault. It does
not decide whether a message is valid: it asks `TransactionPort` and `ConsensusPort`.

* `transactions`: relay transactions in batches, or their hashes; `transaction_outbox`: what waits
  to be sent to one peer
* `consensus_stream`: pass proposals and votes on over one stream for each connection;
  `hint_exchange`: offer them to peers, and ask for what does not come; `conversation`: what one
  peer has and waits for; `relayed_messages`: which messages were handled, are kept for peers that
  ask, and are missing
* `consensus_messages`: the serialised form of these messages
"""
