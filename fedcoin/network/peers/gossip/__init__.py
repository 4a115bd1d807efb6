"""Gossip: pass transactions, proposals and votes from peer to peer."""
