"""Studies: security and the paper."""
