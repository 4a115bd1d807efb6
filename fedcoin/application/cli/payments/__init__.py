"""The section Pay of the help: keys, and the transactions that move their coins.

What a transaction does is decided in `contract.actions`, and how it is signed and retried in
`application.wallet`.
"""
