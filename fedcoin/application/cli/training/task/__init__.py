"""`fedcoin-node task`: one module for each of its commands, and `task` itself."""
