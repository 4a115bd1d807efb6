"""``python -m fedcoin.application.cli``: the same as ``fedcoin-node``."""

from fedcoin.application.cli.entry import main

main()
