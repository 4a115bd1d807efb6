"""Wallets: sign transactions and deliver each one to a node exactly once."""
