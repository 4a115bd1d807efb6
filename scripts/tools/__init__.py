"""Tools that make locks, vectors and data sets."""
