"""Training and valuation from files, without a chain."""
