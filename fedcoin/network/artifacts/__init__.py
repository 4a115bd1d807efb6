"""Artifacts between machines: the service, and the callers' side of it.

What this part decides: chunks go in order and each is checked when it arrives; what was
right is kept when a transfer breaks off, and the next one goes on from there, with the same
node or another. An artifact is its content, so it does not matter who sends it, and two who
upload one at the same time help each other.

`servicer` serves it, on the peers', the API's and the coordinator's listener alike; `client`
moves artifacts between a node and a local store. Neither knows what an artifact means.
"""
