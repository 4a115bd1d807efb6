"""Run `fedcoin-node` as `python -m fedcoin.application.cli`."""

from fedcoin.application.cli.entry import main

main()
