"""Storage: a node's SQLite database, its indexes, its own votes, and snapshot files."""
