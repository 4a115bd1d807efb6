"""What lying is worth, measured: miners that lie against the real ledger and the real voting.

``arena`` runs validators in the consensus simulator on ledgers of their own, with miners, an FL
server and the voting rule that challenged leaves are recomputed; only training is left out: a
``games.Game`` says what a coalition is worth. ``agents`` are the miners, ``proposers`` what a
validator may do wrong when it is its turn. The other modules each measure one thing and return
plain numbers; ``tables`` writes them down. ``scripts/studies/paper_baseline`` holds the paper's own
protocol, for comparison.
"""
