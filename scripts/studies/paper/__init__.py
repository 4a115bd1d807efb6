"""The FedCoin paper's experiment, run through this network.

`networks` runs the devnets, `games` values coalitions of their clients, `published` holds the
paper's numbers, and `figures` and `document` show both beside each other.
"""
