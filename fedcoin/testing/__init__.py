"""Equipment for testing networks; nothing in the product imports it."""
