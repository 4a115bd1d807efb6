"""Signed and hashed messages: strict encoding, transactions, updates, votes, blocks, genesis."""
