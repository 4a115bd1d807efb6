"""Watching: whether the node does its work, and what it says and does when it does not.

This folder decides when a node counts as failed, silent or cut off. What the parts of the node do
is decided elsewhere.

* `failure`: how a node ends that cannot work any more
* `vote_watch`: whether a validator casts the votes that it owes
* `validator_presence`: whether enough validators can be reached
* `certificate_watch`: how long its TLS certificates are valid
* `block_log`: a line in the log for each final block
* `clock_watch`: whether its clock differs from its peers'
"""
