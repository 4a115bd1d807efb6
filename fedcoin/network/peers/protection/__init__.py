"""Protection: limits, reputation, bans and bounded queues against abusive peers.

This folder decides how much one peer may send, what misbehaviour costs, and when a peer is banned.
It does no I/O and does not know what messages mean.

* `limits`: size and rate of every message between peers
* `reputation`: a score that grows with offences and decays
* `bans`: node keys and hosts that are refused for a time; `refused_keys`: keys that the operator
  refuses
* `send_queue`: messages that wait to be sent to one peer
"""
