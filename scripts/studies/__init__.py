"""Studies: long experiments that write their tables into the documentation."""
