"""A Flower app whose clients are paid."""
