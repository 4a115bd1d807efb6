"""What several commands need: options, output, the call of a node, and running until stopped.

Nothing here is a command, and nothing here knows one.
"""
