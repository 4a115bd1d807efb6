"""How nodes, people and tools talk: peers on one listener, the API on another.

This layer decides who may ask how much, how what is refused looks on the wire, where missing
blocks and artifacts come from, and to whom news is passed on. It does not know what makes a
block, a transaction or a vote right: it asks the node through `ports`, and moves bytes.

From the outside in:

1. `listener` opens a server with `health` and `reflection`; `interceptors` is what happens
   around each call, within the `bounds` of the listener; `status` says how a refusal crosses
   the wire, with the layer's own codes in `errors`;
2. `peers` is the peers' side: handshake, gossip, relay, consensus streams, catching up;
3. `api` is the side for people, tools and the lightweight roles;
4. `artifacts` moves model weights and data sets, on any listener.

`options` holds the settings, `tasks` the owners that every background task has.
"""

from __future__ import annotations

import os

# gRPC's core writes to standard error by itself, about strangers' broken connections too.
# What matters reaches this program as a status, and its log.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
