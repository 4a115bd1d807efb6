"""Bytes: what is signed, hashed, sent and stored, and nothing about what it means.

This layer turns bytes from strangers into checked values, and values into bytes that others
will accept. Everything that it takes in goes through the same gates, in this order: the size,
then the structure (`wire`: one encoding of each message and no other), then the lengths of
the fields, then the chain that it was meant for, then the signature, which costs the most.
What does not pass is a `Refusal` with a code of `errors.DataCode`; a full disk or a bug is
some other exception.

From the bottom up: `hashing`, `merkle`, `amounts`, `addresses` and `keys` are arithmetic.
`transactions`, `updates`, `votes`, `blocks` and `receipts` are the envelopes that travel as
bytes: hash and signature always cover the bytes as they came, and nobody serialises them
again. `genesis` is what a network fixes once. `tensors` and `artifacts` are weights and data
sets, named by their content. `store` keeps a node's chain, state and own votes in one SQLite
file, `artifact_store` keeps artifacts in a folder, `key_files` keeps keys.

It does not know what a balance, a task or a round is for: whether a well-formed, well-signed
transaction may be applied is for the contract to say. Nor does it know any peer or clock.
"""
