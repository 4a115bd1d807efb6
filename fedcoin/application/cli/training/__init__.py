"""The section Train of the help: training, its tasks, Shapley values without a chain, files.

The groups `train` and `task` are folders, with one module for each of their commands. None of it
knows how a value is computed.
"""
