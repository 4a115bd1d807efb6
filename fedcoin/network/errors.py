"""Codes of the refusals of the network layer.

A code's value is its name. Its text says what happened and, after a blank line, what to do.
`scripts/tools/write_error_codes.py` copies both into docs/API.md, with the code's gRPC status from
`network/error_statuses.py`.
"""

from __future__ import annotations

from enum import Enum


class NetworkCode(str, Enum):
    """Why a peer, a request or a transfer was refused."""

    # Handshake and sessions.
    WRONG_CHAIN = "WRONG_CHAIN"
    """The peer, or the proof, belongs to another chain.

    Dial nodes of the same network."""
    WRONG_GENESIS = "WRONG_GENESIS"
    """The peer's chain has the same name but another genesis file.

    Use the network's genesis file, byte for byte."""
    WRONG_PROTOCOL = "WRONG_PROTOCOL"
    """The peer speaks another version of the peers' protocol.

    Update the older program of the two."""
    SELF_CONNECTION = "SELF_CONNECTION"
    """The node dialled itself.

    Remove its own address from `peers.seeds`."""
    WRONG_PEER = "WRONG_PEER"
    """Another node than expected answers at this address.

    If the node has a new key, write the address with it: `key@host:port`."""
    WRONG_ADDRESS = "WRONG_ADDRESS"
    """The caller dialled an address that is not the node's.

    Dial the address that the error names, or set `peers.advertise` on the node that was dialled."""
    WRONG_CERTIFICATE = "WRONG_CERTIFICATE"
    """A TLS certificate does not name the node key that goes with it.

    Have the authority sign one with the name that `fedcoin-node keys show --tls-name` prints."""
    BAD_TLS_FILES = "BAD_TLS_FILES"
    """A file of `[tls]` cannot be read, is damaged, or does not belong to the others.

    Correct the path that the error names, or issue the certificate again."""
    BAD_PROOF = "BAD_PROOF"
    """A signature does not prove the key, its time is too far from this clock, or a proof
    file contradicts itself.

    Sign again with the right key, genesis hash and clock; fetch a proof again."""
    BAD_NONCE = "BAD_NONCE"
    """The handshake's nonce is unknown, used or too old.

    Begin again with `Hello`."""
    NO_SESSION = "NO_SESSION"
    """The call has no session of this connection.

    Shake hands first: `Hello`, then `Authenticate`."""
    BANNED = "BANNED"
    """The node key, or the host that it comes from, is banned for a time.

    Wait until the ban is over."""
    KEY_REFUSED = "KEY_REFUSED"
    """The operator refuses this node key (`peers.refused_keys`).

    Ask the node's operator, or use another key."""
    NO_ROOM = "NO_ROOM"
    """The node has as many peers, handshakes or snapshot streams as it allows.

    Try later, or another node."""

    # Tokens of the API.
    NO_TOKEN = "NO_TOKEN"  # noqa: S105 - a code, not a secret
    """The node's API has tokens, and the call has none.

    Give `--token-file`, or send the metadata `authorization: Bearer TOKEN`."""
    BAD_TOKEN = "BAD_TOKEN"  # noqa: S105 - a code, not a secret
    """The node has no such token, or has it no longer.

    Ask the node's operator for one (`fedcoin-node token create`)."""
    NOT_ALLOWED = "NOT_ALLOWED"
    """The token's role does not include the method.

    Use a token of the role that the error names."""
    BAD_TOKEN_FILE = "BAD_TOKEN_FILE"  # noqa: S105 - a code, not a secret
    """A file of tokens, or of one token, is malformed, or others than its owner can read it.

    Correct what the error names."""

    # Limits.
    MALFORMED = "MALFORMED"
    """The request cannot be decoded, or a field of it cannot be read.

    Correct the field that the error names."""
    TOO_LARGE = "TOO_LARGE"
    """A message, a list or a file is longer than allowed.

    Send less at once."""
    RATE_LIMITED = "RATE_LIMITED"
    """The caller makes more calls, or submits more transactions, a second than allowed.

    Slow down and try again."""
    TOO_MANY_CALLS = "TOO_MANY_CALLS"
    """The server has as many calls or streams under way as it allows.

    Close one, or try again later."""
    SLOW_READER = "SLOW_READER"
    """The stream was not read in time and was ended.

    Go on from the last message that was received."""
    TIMED_OUT = "TIMED_OUT"
    """The reply took too long, or an upload was silent for too long.

    Try again; an upload goes on from the next chunk."""

    # Requests.
    BAD_PAGE_TOKEN = "BAD_PAGE_TOKEN"  # noqa: S105 - a code, not a secret
    """The page token is not one that this list gave for these filters.

    Begin with an empty token, and keep the filters from page to page."""
    BAD_SELECTOR = "BAD_SELECTOR"
    """The request names no block.

    Give either height or hash."""
    OUT_OF_RANGE = "OUT_OF_RANGE"
    """The height or chunk that was asked for does not exist.

    Ask within the range that the error names."""
    BLOCK_NOT_FOUND = "BLOCK_NOT_FOUND"
    """There is no such block on this node.

    Ask for a block up to the height that the error names."""
    HISTORY_NOT_KEPT = "HISTORY_NOT_KEPT"
    """The block lies below the snapshot that this node began from.

    Ask a node with the whole history."""
    SNAPSHOT_NOT_FOUND = "SNAPSHOT_NOT_FOUND"
    """The node has no snapshot of this height.

    Ask for one that `ListSnapshots` names."""
    TRANSACTION_NOT_FOUND = "TRANSACTION_NOT_FOUND"
    """The transaction is neither in the mempool nor in the chain.

    Check the hash; submit the transaction again when it was lost."""
    CAMPAIGN_NOT_FOUND = "CAMPAIGN_NOT_FOUND"
    """There is no campaign with this id.

    Check the id; wait until the transaction that opens it is final."""
    TASK_NOT_FOUND = "TASK_NOT_FOUND"
    """There is no task with this id.

    Check the id; wait until the transaction that opens it is final."""
    PAYMENT_NOT_FOUND = "PAYMENT_NOT_FOUND"
    """The task has paid nothing to this address.

    Wait until the task is settled, or ask for another address."""
    EVIDENCE_NOT_FOUND = "EVIDENCE_NOT_FOUND"
    """The miner has not revealed evidence for this task.

    Ask for a miner that the task lists as revealed."""

    DROPPED = "DROPPED"
    """A transaction that was followed can no longer become final.

    Read the reason in the error, and sign again."""

    # Artifacts.
    ARTIFACT_NOT_FOUND = "ARTIFACT_NOT_FOUND"
    """The node does not hold this artifact, or holds it for a private campaign whose readers alone
    get it.

    Ask another node, or upload it; for a private campaign name the campaign and a reader's key
    (`artifacts get --campaign --key`)."""
    BAD_READER_PROOF = "BAD_READER_PROOF"
    """A proof for artifacts of a private campaign is not well-formed, names another server, has
    expired, lasts for too long, or was not signed by its key for this network.

    Set the clock; sign for the node that is asked (`--node-key`) and for this network."""
    NOT_A_READER = "NOT_A_READER"
    """The key may not fetch artifacts of this campaign, or the campaign is not private.

    Ask the campaign's requester to name the key's address as a reader, or leave the campaign out
    where it is not private."""
    CHUNK_OUT_OF_ORDER = "CHUNK_OUT_OF_ORDER"
    """The upload ended before its last chunk.

    Go on from the chunk that the error names."""

    # Running a node.
    BAD_HOST = "BAD_HOST"
    """Text is not `host:port`.

    Write it like `127.0.0.1:7051` or `[::1]:7051`."""
    PORT_IN_USE = "PORT_IN_USE"
    """The address cannot be listened on.

    Stop the program that uses it, or change the setting that the error names."""
    NOT_SECURE = "NOT_SECURE"
    """Peers on other machines, or the metrics, are to be reached in plaintext.

    Set the files of `[tls]`, or allow it with `--insecure` on a network that you trust."""
    PEER_NOT_CONNECTED = "PEER_NOT_CONNECTED"
    """No peer with this node key is connected.

    List the peers with `fedcoin-node peers`."""
    PEER_UNREACHABLE = "PEER_UNREACHABLE"
    """The peer does not answer.

    Check its address, and whether it runs."""
    BAD_LOG_LEVEL = "BAD_LOG_LEVEL"
    """There is no such log level.

    Use `debug`, `info`, `warning` or `error`."""
    BAD_PATH = "BAD_PATH"
    """A file cannot be written at this path, or a socket's path is too long.

    Give an absolute path to a folder that exists, and over the network a file name; use a shorter
    home folder."""
    FILE_EXISTS = "FILE_EXISTS"
    """The file exists already.

    Name a file that does not exist."""
    TOO_MANY_BACKUPS = "TOO_MANY_BACKUPS"
    """Another backup is being written, or the folder for those asked for over the network is full.

    Wait until it is complete, or move some of the folder's files away, on the node's machine."""
    NOT_SERVING = "NOT_SERVING"
    """The server answers, but has not finished starting.

    Wait; read its log when it takes longer than usual."""
    SHUTTING_DOWN = "SHUTTING_DOWN"
    """The server is stopping, or has closed the stream.

    Call again when it is back."""
