"""Connections: find peers, prove identities, and keep the set of connected peers."""
