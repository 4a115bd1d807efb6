"""The section Look of the help: what a node or a home knows, and whether it is right.

No command here changes the chain; `snapshot restore` fills a home that has none.
"""
