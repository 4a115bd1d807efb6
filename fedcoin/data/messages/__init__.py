"""Messages that are signed or hashed: how each one is encoded, decoded, signed and checked.

Decides which bytes are a well-formed and well-signed transaction, update, vote, proposal, block,
receipt or genesis. A hash or signature always covers the bytes as they arrived; they are never
serialised again. Whether a message makes sense at this height is decided by higher layers.

* `canonical`: the one encoding of each protobuf message.
* `transactions`, `updates`, `votes`, `blocks`: one module for each kind of message.
* `transaction_decoder`: decodes each transaction once, in whichever thread it comes first;
  `known_transactions`: finds those that a node decoded lately.
* `receipts`: what a block did; `update_receipts`: what a server took from a client.
* `client_names`, `privacy_claims`: what clients claim of themselves, which nobody checks.
* `client_list`: the clients that may take part in a campaign, as a Merkle tree.
* `chain_identity`: the name and the genesis hash of a network.
* `genesis`, `parameters`: the genesis file and the network's rules in it; `amounts`: sap and FDC.
"""
