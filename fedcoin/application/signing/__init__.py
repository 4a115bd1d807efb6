"""Signing in a process of its own, so that a validator's key is not on the machine with peers.

The process holds the key, and decides by itself what it signs: a node that was taken over can make
it neither sign contradicting votes nor pay anybody, nor votes that silence the key for long, nor
many fees. It knows no chain.

* `remote_key`: the key as the node sees it, which asks the process for each signature.
* `signer_server`: answers the node on a Unix socket.
* `signing_policy`: what is signed.
* `height_pace`: how far the heights of votes may run ahead.
* `daily_spending`: the fees and deposits of the last 24 hours.
* `signed_record`: the file that keeps what was signed.
"""
