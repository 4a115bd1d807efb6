"""`fedcoin-node train`: one module for each of its commands, and `train` itself."""
