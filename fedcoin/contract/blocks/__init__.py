"""Blocks: validation, execution, and who was a validator at each height."""
