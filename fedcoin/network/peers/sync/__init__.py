"""Sync: fetch blocks, artifacts and snapshots that this node lacks, and serve them to peers.

This folder decides which peer is asked for what, and what to do when it fails. It does not decide
whether a block is valid: it hands each one to the `Importer`.

* `catch_up`: find out that a peer is ahead, and fetch what follows; `sync_pace`: at which rate
* `header_source`: which peers are asked for headers, and for how long
* `headers`, `block_source`: check consecutive headers, then fetch their blocks from several peers;
  `source_pace`: which of these peers are too slow
* `snapshot_sync`: start from a peer's snapshot
* `artifact_fetcher`: fetch artifacts from the peers that have them; `artifact_pace`: how often each
  is asked
* `block_service`, `snapshot_server`: serve blocks and snapshots, and announce new blocks
"""
