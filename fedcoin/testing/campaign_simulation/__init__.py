"""Campaigns simulated on real ledgers."""
