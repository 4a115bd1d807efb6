"""Snapshots: the state in parts that a new node can verify one by one, from genesis alone.

Decides what a snapshot contains, how the state is cut into chunks, and what makes a part valid. It
does not decide when a node makes a snapshot, nor from which peers it is downloaded.

* `writer`: writes a snapshot of the chain's latest state; `verifier`: verifies one.
"""
