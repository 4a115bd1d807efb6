"""The section Run of the help: make a home, run a node, run a whole network on one machine.

These commands start what runs for long. What a node does is decided in `application.node`, and what
a devnet measures in `application.devnet`.
"""
