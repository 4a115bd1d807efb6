"""How nodes, wallets, coordinators and tools talk over gRPC.

This layer decides who may call what and how often, how refusals cross the wire, from which peers
missing blocks and artifacts are fetched, and to which peers news is sent. It does not know what
makes a block, a transaction or a vote valid: it passes them to the node through `ports`.

* `listener` opens a server with `health` and `reflection`; `interceptors` is what happens around
  each call, within the `call_limits` of the listener, which count by `host_groups`;
* `connection_shares` keeps one host from taking all connections of a listener;
* `error_statuses` gives each error code its gRPC status; `error_details` encodes refusals;
* `client` is the calling side: clients of nodes, coordinators and peers;
* `peers`: handshakes, gossip, consensus streams and catching up between nodes;
* `api`: what wallets, tools and operators call;
* `artifacts` and `federated`: servicers of model weights and data sets, and of training rounds;
* `grpc_options` and `peer_options` hold options and settings; `background_tasks`, `alarm`,
  `interruption`, `token_bucket` and `kept_history` are used throughout.
"""

from __future__ import annotations

import os

# gRPC's core writes to standard error by itself, also about strangers' broken connections. What
# matters reaches this program as a status, and is logged here.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
