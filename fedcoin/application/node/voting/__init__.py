"""Voting: what a node signs and keeps while it takes part in deciding a block.

This folder decides when the node's key may sign, and stores each vote before it is sent. Which vote
is signed is decided by the engine (`consensus`).

* `vote_signer`: signs and stores votes; `guarded_signer` makes one for a node.
* `signing_guard`: keeps the key silent while the database may lack votes that it signed.
* `equivocation_reporter`: reports validators that contradict themselves.
* `early_messages`: votes and proposals that arrive before their height begins; `late_votes`: votes
  that arrive after its end.
* `block_pace`: how long a height waits for more transactions; `awaited_answers`: and for the
  answers of further miners.
"""
