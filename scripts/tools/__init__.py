"""Tools that write files of the repository: locks, golden vectors, data sets, reference pages.

Each can be run again at any time; golden vectors change only with the protocol.
"""
