"""Verification: check a chain, evidence and payment proofs without trusting a node."""
