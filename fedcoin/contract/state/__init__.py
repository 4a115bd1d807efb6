"""State: the ledger's records, the Merkle tree over them, and the view that rules work on."""
