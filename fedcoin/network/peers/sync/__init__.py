"""Sync: fetch blocks, artifacts and snapshots that this node lacks."""
